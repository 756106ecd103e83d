//! A piece of JSONata text with what must be known to put it into a larger one.

use serde_json::Value;

use crate::expr::Type;

/// Binding powers of JSONata's grammar.
pub(super) const TERNARY: u8 = 20;
pub(super) const OR: u8 = 25;
pub(super) const AND: u8 = 30;
pub(super) const COMPARE: u8 = 40;
pub(super) const SUM: u8 = 50;
pub(super) const PRODUCT: u8 = 60;
pub(super) const UNARY: u8 = 70;
pub(super) const PATH: u8 = 80;

/// Text that is written twice rather than bound to a name is at most so long.
const REPEATED: usize = 120;

/// Greatest magnitude of a declared integer, and of a size.
pub(super) const INTEGER: f64 = 9_007_199_254_740_992.0;

/// JSONata text and its properties.
#[derive(Clone, Debug)]
pub(super) struct Code {
    /// The text; its value holds where all of `guards` hold.
    pub text: String,
    /// How tightly its outermost operator binds.
    pub level: u8,
    /// True where it may yield nothing though the guards hold; that is a failure.
    pub undefined: bool,
    /// Conditions, each total where those before it hold. Where one does not hold, the expression fails.
    pub guards: Vec<String>,
    /// Its value where it is constant text.
    pub constant: Option<String>,
    /// Its value where it is a constant number.
    pub number: Option<f64>,
    /// Where it is a number, its magnitude is at most this; infinite where a result may be.
    pub bound: f64,
}

impl Code {
    pub fn of(text: String, level: u8, undefined: bool) -> Self {
        Self {
            text,
            level,
            undefined,
            guards: Vec::new(),
            constant: None,
            number: None,
            bound: f64::MAX,
        }
    }

    pub fn atom(text: String) -> Self {
        Self::of(text, PATH, false)
    }

    pub fn path(text: String, ty: &Type) -> Self {
        let bound = if *ty.unwrapped() == Type::Integer {
            INTEGER
        } else {
            f64::MAX
        };
        Self::atom(text).bounded(bound)
    }

    pub fn string(text: String) -> Self {
        Self {
            constant: Some(text.clone()),
            ..Self::atom(literal(&text))
        }
    }

    /// The constant text, where it holds no placeholder.
    pub fn known(&self) -> Option<&str> {
        self.constant.as_deref().filter(|text| !text.contains(MARKS))
    }

    pub fn number_or_atom(value: &Value) -> Self {
        match value.as_f64() {
            Some(number) => Self {
                number: Some(number),
                bound: number.abs(),
                ..Self::of(value.to_string(), if number < 0.0 { UNARY } else { PATH }, false)
            },
            None => Self::atom(self::value(value)),
        }
    }

    pub fn guarded(mut self, guards: Vec<String>) -> Self {
        for guard in guards {
            if !self.guards.contains(&guard) {
                self.guards.push(guard);
            }
        }
        self
    }

    pub fn bounded(mut self, bound: f64) -> Self {
        self.bound = bound;
        self
    }

    /// True where it may be written more than once.
    pub fn repeats(&self) -> bool {
        self.text.len() <= REPEATED && !self.text.contains('?')
    }

    /// True where it may yield nothing or hangs on guards.
    pub fn may_fail(&self) -> bool {
        self.undefined || !self.guards.is_empty()
    }

    /// The text, in brackets where its operator binds less than `level`. Guards are the caller's business.
    pub fn at_least(&self, level: u8) -> String {
        if self.level < level {
            format!("({})", self.text)
        } else {
            self.text.clone()
        }
    }

    /// The whole: yields nothing where a guard fails.
    pub fn lenient(&self) -> String {
        if self.guards.is_empty() {
            return self.text.clone();
        }
        format!("{} ? {}", self.guards.join(" and "), self.branch_text())
    }

    /// As the branch of a conditional.
    pub fn branch(&self) -> String {
        if self.guards.is_empty() {
            return self.branch_text();
        }
        format!("({})", self.lenient())
    }

    fn branch_text(&self) -> String {
        self.at_least(TERNARY + 1)
    }

    /// The whole, an error where a guard fails; in brackets where it binds less than `level`.
    pub fn insisting(&self, level: u8) -> String {
        if self.guards.is_empty() {
            return self.at_least(level);
        }
        format!(
            "({} ? {} : $error('no value'))",
            self.guards.join(" and "),
            self.branch_text()
        )
    }

    /// Two texts joined; neither may be undefined.
    pub fn concat(self, other: Code) -> Code {
        let mut guards = self.guards.clone();
        guards.extend(other.guards.iter().cloned());
        if let (Some(a), Some(b)) = (&self.constant, &other.constant) {
            return Code::string(format!("{a}{b}")).guarded(guards);
        }
        let text = format!("{} & {}", self.at_least(SUM), other.at_least(SUM + 1));
        Code::of(text, SUM, false).guarded(guards)
    }
}

/// A JSON value as a JSONata expression.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => literal(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(self::value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}: {}", literal(name), self::value(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// Marks of a placeholder inside a text: noncharacters, so that no user's text holds them.
pub(super) const MARKS: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// A string literal, in the quotes that it does not hold itself. JSONata knows no `\'`; `${` would be a placeholder.
pub(super) fn literal(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '$' if chars.peek() == Some(&'{') => out.push_str("\\u0024"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Two of JavaScript's line breaks: what reads a definition line by line would stop there.
            c if c == quote || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)))
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// A field name as a path step; names that are no identifiers stand in backticks. None for a name with a backtick.
pub(super) fn quoted(name: &str) -> Option<String> {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !matches!(name, "and" | "or" | "in" | "true" | "false" | "null" | "function");
    if plain {
        Some(name.to_owned())
    } else if name.contains('`') || name.is_empty() || name.chars().any(char::is_control) {
        None
    } else {
        Some(format!("`{name}`"))
    }
}

/// The path step of a name that is an identifier.
pub(super) fn path_name(name: &str) -> String {
    quoted(name).unwrap_or_else(|| name.to_owned())
}

/// True of the properties that every JavaScript object inherits.
pub(super) fn inherited(name: &str) -> bool {
    name.starts_with("__")
        || matches!(
            name,
            "constructor"
                | "hasOwnProperty"
                | "isPrototypeOf"
                | "propertyIsEnumerable"
                | "toLocaleString"
                | "toString"
                | "valueOf"
        )
}

/// Functions that an expression defines for itself where JSONata has none of that meaning. Their names hold a capital
/// letter: no step's variable does in that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Helper {
    Must,
    BooleanOf,
    Finite,
    ItemOf,
    WalkOf,
    OneOf,
    OrderOf,
    IsIn,
    Plus,
    TextOf,
    StringOf,
    IntegerOf,
    DoubleOf,
    SizeOf,
    ItemsOf,
    BoolOf,
    RangeOf,
    ValuesOf,
    JsonOf,
    ParseOf,
    Base64Of,
    TimeOf,
    SecondsOf,
}

impl Helper {
    pub fn name(self) -> &'static str {
        match self {
            Self::Must => "$valueOf",
            Self::BooleanOf => "$booleanOf",
            Self::Finite => "$finiteOf",
            Self::ItemOf => "$itemOf",
            Self::WalkOf => "$walkOf",
            Self::OneOf => "$oneOf",
            Self::OrderOf => "$orderOf",
            Self::IsIn => "$isIn",
            Self::Plus => "$sumOf",
            Self::TextOf => "$digitsOf",
            Self::StringOf => "$textOf",
            Self::IntegerOf => "$integerOf",
            Self::DoubleOf => "$doubleOf",
            Self::SizeOf => "$sizeOf",
            Self::ItemsOf => "$itemsOf",
            Self::BoolOf => "$boolOf",
            Self::RangeOf => "$rangeOf",
            Self::ValuesOf => "$valuesOf",
            Self::JsonOf => "$jsonOf",
            Self::ParseOf => "$parsedOf",
            Self::Base64Of => "$base64Of",
            Self::TimeOf => "$timeOf",
            Self::SecondsOf => "$secondsOf",
        }
    }

    /// Helpers that this one calls.
    pub fn needs(self) -> &'static [Self] {
        match self {
            Self::WalkOf => &[Self::ItemOf],
            Self::StringOf => &[Self::TextOf],
            Self::ItemsOf => &[Self::OrderOf],
            Self::ValuesOf => &[Self::OrderOf, Self::OneOf],
            Self::JsonOf => &[Self::OrderOf, Self::TextOf],
            _ => &[],
        }
    }

    pub fn definition(self) -> &'static str {
        match self {
            Self::Must => "$valueOf := function($x) { $exists($x) ? $x : $error('no value') }",
            Self::BooleanOf => "$booleanOf := function($x) { $type($x) = 'boolean' ? $x : $error('not a boolean') }",
            Self::Finite => "$finiteOf := function($x) { $x + 0 }",
            Self::ItemOf => {
                "$itemOf := function($x, $i) { $type($x) = 'array' and $type($i) = 'number' \
                 ? ($i >= 0 and $i = $floor($i) ? $x[$i]) \
                 : $type($x) = 'object' and $type($i) = 'string' ? ($i in $keys($x) ? $lookup($x, $i)) }"
            }
            Self::WalkOf => {
                "$walkOf := function($x, $keys) { \
                 $reduce($keys, function($found, $key) { $itemOf($found, $key) }, $x) }"
            }
            Self::OneOf => "$oneOf := function($x) { $type($x) = 'array' ? [[$x]] : $x }",
            Self::OrderOf => {
                "$orderOf := function($x) { $type($x) = 'string' \
                 ? $replace($replace($x, /\\uffff/, '\\uffff\\u0000'), /[\\ud800-\\udbff]/, '\\uffff$0') : $x }"
            }
            Self::IsIn => {
                "$isIn := function($x, $xs) { $type($xs) = 'array' \
                 ? $count($filter($xs, function($y) { $y = $x })) > 0 \
                 : $type($xs) = 'object' and $type($x) = 'string' ? $x in $keys($xs) : $error('not a list') }"
            }
            Self::Plus => {
                "$sumOf := function($x, $y) { $type($x) = 'number' and $type($y) = 'number' ? $x + $y + 0 \
                 : $type($x) = 'string' and $type($y) = 'string' ? $x & $y \
                 : $type($x) = 'array' and $type($y) = 'array' ? $append($x, $y) : $error('cannot add') }"
            }
            Self::TextOf => DIGITS,
            Self::StringOf => {
                "$textOf := function($x) { $type($x) = 'string' ? $x : $type($x) = 'boolean' ? $string($x) \
                 : $type($x) = 'number' ? $digitsOf($x) : $error('no text') }"
            }
            Self::IntegerOf => {
                "$integerOf := function($x) {( $n := $type($x) = 'number' ? $x \
                 : $type($x) = 'string' and $contains($x, /^-?[0-9]+$/) ? $number($replace($x, /^(-?)0+([0-9])/, '$1$2')) \
                 : $error('no integer'); \
                 $i := $n < 0 ? $ceil($n) : $floor($n); \
                 $abs($i) <= 9007199254740991 ? $i : $error('out of range') )}"
            }
            Self::DoubleOf => {
                "$doubleOf := function($x) { $type($x) = 'number' ? $x \
                 : $type($x) = 'string' and $contains($x, /^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?$/) \
                 ? $number($x) : $error('no number') }"
            }
            Self::ItemsOf => {
                "$itemsOf := function($x) { $type($x) = 'array' ? $x : $type($x) = 'object' \
                 ? [$sort([$keys($x)], function($a, $b) { $orderOf($a) > $orderOf($b) })] : $error('not a list') }"
            }
            Self::BoolOf => {
                "$boolOf := function($x) { $type($x) = 'boolean' ? $x : $x = 'true' ? true : $x = 'false' ? false \
                 : $error('no boolean') }"
            }
            Self::RangeOf => {
                "$rangeOf := function($a, $b) {( \
                 $whole := function($n) { $type($n) = 'number' and $floor($n) = $n and $abs($n) <= 9007199254740991 }; \
                 $whole($a) and $whole($b) and $b - $a <= 10000 ? $b <= $a ? [] : [$a..$b - 1] : $error('no range') )}"
            }
            Self::ValuesOf => {
                "$valuesOf := function($x) { $type($x) != 'object' ? $error('not an object') \
                 : $reduce($sort([$keys($x)], function($a, $b) { $orderOf($a) > $orderOf($b) }), \
                 function($all, $k) { $append($all, $oneOf($lookup($x, $k))) }, []) }"
            }
            Self::JsonOf => {
                "$quotedOf := function($x) {( $t := $string([$x]); $substring($t, 1, $length($t) - 2) )}; \
                 $jsonOf := function($x) { $type($x) = 'null' ? 'null' : $type($x) = 'string' ? $quotedOf($x) \
                 : $type($x) = 'boolean' ? $string($x) : $type($x) = 'number' ? $digitsOf($x) : $type($x) = 'array' \
                 ? '[' & $join($reduce($x, function($all, $y) { $append($all, $jsonOf($y)) }, []), ',') & ']' \
                 : '{' & $join($reduce($sort([$keys($x)], function($a, $b) { $orderOf($a) > $orderOf($b) }), \
                 function($all, $k) { $append($all, $quotedOf($k) & ':' & $jsonOf($lookup($x, $k))) }, []), ',') & '}' }"
            }
            Self::ParseOf => {
                "$parsedOf := function($x) { $type($x) != 'string' ? $error('no text') \
                 : $count($filter($match($replace($x, /\"(\\\\.|[^\\\\\"])*\"/, '_'), /[0-9][0-9.eE+\\-]*/).match, \
                 function($t) { $number($t) > 9007199254740991 and $contains($t, /^[0-9]+$/) })) > 0 \
                 or $contains($replace($x, /\\\\\\\\|\\\\u[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F]/, '_'), /\\\\u[dD][89a-fA-F]/) \
                 ? $error('out of range') : $parse($x) }"
            }
            Self::Base64Of => BASE64,
            Self::TimeOf => {
                "$timeOf := function($x) {( $t := $type($x) = 'string' and $contains($x, \
                 /^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+\\-]([01][0-9]|2[0-3]):[0-5][0-9])$/) \
                 ? $x : $error('no time'); $d := $substring($t, 0, 10); \
                 $rest := $substringAfter($t & ($contains($t, '.') ? '' : '.'), '.'); \
                 $digits := $replace($rest, /[^0-9].*/, '') & '000'; \
                 $substring($d, 0, 4) = '0000' or $substring($fromMillis($toMillis($d & 'T00:00:00.000Z')), 0, 10) != $d ? $error('no such day') \
                 : ($toMillis($replace($t, /\\.[0-9]+/, '')) + $number('1' & $substring($digits, 0, 3)) - 1000) / 1000 )}"
            }
            Self::SecondsOf => {
                "$secondsOf := function($x) { $type($x) = 'string' and $contains($x, /^[1-9][0-9]{0,8}[smhd]$/) \
                 ? $number($substring($x, 0, $length($x) - 1)) \
                 * $lookup({'s': 1, 'm': 60, 'h': 3600, 'd': 86400}, $substring($x, -1)) : $error('no duration') }"
            }
            Self::SizeOf => {
                "$sizeOf := function($x) { $type($x) = 'string' ? $length($x) : $type($x) = 'array' ? $count($x) \
                 : $type($x) = 'object' ? $count($keys($x)) : $error('no size') }"
            }
        }
    }
}

/// `$base64encode` takes each character for a byte: those beyond ASCII are made the bytes of their UTF-8 first.
const BASE64: &str = "$base64Of := function($x) { $type($x) != 'string' ? $error('no text') \
    : $base64encode($replace($x, /[^\\u0000-\\u007f]+/, function($m) { \
    $replace($encodeUrlComponent($m.match), /%../, function($n) {( \
    $digit := function($c) { $length($substringBefore('0123456789ABCDEF', $c)) }; \
    $substring('\\u0080\\u0081\\u0082\\u0083\\u0084\\u0085\\u0086\\u0087\\u0088\\u0089\\u008a\\u008b\\u008c\\u008d\\u008e\\u008f\
    \\u0090\\u0091\\u0092\\u0093\\u0094\\u0095\\u0096\\u0097\\u0098\\u0099\\u009a\\u009b\\u009c\\u009d\\u009e\\u009f\
    \\u00a0\\u00a1\\u00a2\\u00a3\\u00a4\\u00a5\\u00a6\\u00a7\\u00a8\\u00a9\\u00aa\\u00ab\\u00ac\\u00ad\\u00ae\\u00af\
    \\u00b0\\u00b1\\u00b2\\u00b3\\u00b4\\u00b5\\u00b6\\u00b7\\u00b8\\u00b9\\u00ba\\u00bb\\u00bc\\u00bd\\u00be\\u00bf\
    \\u00c0\\u00c1\\u00c2\\u00c3\\u00c4\\u00c5\\u00c6\\u00c7\\u00c8\\u00c9\\u00ca\\u00cb\\u00cc\\u00cd\\u00ce\\u00cf\
    \\u00d0\\u00d1\\u00d2\\u00d3\\u00d4\\u00d5\\u00d6\\u00d7\\u00d8\\u00d9\\u00da\\u00db\\u00dc\\u00dd\\u00de\\u00df\
    \\u00e0\\u00e1\\u00e2\\u00e3\\u00e4\\u00e5\\u00e6\\u00e7\\u00e8\\u00e9\\u00ea\\u00eb\\u00ec\\u00ed\\u00ee\\u00ef\
    \\u00f0\\u00f1\\u00f2\\u00f3\\u00f4\\u00f5\\u00f6\\u00f7\\u00f8\\u00f9\\u00fa\\u00fb\\u00fc\\u00fd\\u00fe\\u00ff', $digit($substring($n.match, 1, 1)) * 16 + $digit($substring($n.match, 2, 1)) - 128, 1) )}) })) }";

/// The shortest text that reads back as the same number. `$string` keeps 15 digits, `$formatBase` those of a whole
/// number. Where neither reads back, the fraction's exact decimals are made from its limbs of 27 bits, and rounded to 16
/// digits or, where that does not read back, to 17.
const DIGITS: &str = "$limbsOf := function($f, $l) { $f = 0 ? $l \
    : ($t := $f * 134217728; $limbsOf($t - $floor($t), $append($l, $floor($t)))) }; \
    $decimalsOf := function($l, $d) { $length($replace($d, /^0+/, '')) > 20 ? $d \
    : ($r := $reduce($reverse($l), function($a, $i) {( $t := $i * 10 + $a.c; $q := $floor($t / 134217728); \
    {'c': $q, 'l': $append([$t - $q * 134217728], $a.l)} )}, {'c': 0, 'l': []}); $decimalsOf($r.l, $d & $r.c)) }; \
    $roundedOf := function($d, $p) {( $rest := $substring($d, $p); \
    $up := $contains($rest, /^([6-9]|5.*[1-9])/) or $contains($substring($d, $p - 1), /^[13579]5/) ? 1 : 0; \
    $low := $number($substring($d, 8, $p - 8)) + $up; $full := $low = $power(10, $p - 8); \
    $formatBase($number($substring($d, 0, 8)) + ($full ? 1 : 0)) & $pad($full ? '0' : $formatBase($low), 8 - $p, '0') )}; \
    $digitsOf := function($x) {( $s := $string($x); $floor($x) = $x ? $formatBase($x) : $number($s) = $x ? $s \
    : ( $y := $abs($x); $w := $floor($y); $whole := $w = 0 ? '' : $formatBase($w); \
    $all := $decimalsOf($limbsOf($y - $w, []), $whole); $d := $replace($all, /^0+/, ''); \
    $n := $length($whole) - $length($all) + $length($d); $m := $roundedOf($d, 16); \
    $m := $number($m & 'e' & ($n - 16)) = $y ? $m : $roundedOf($d, 17); \
    ($x < 0 ? '-' : '') & ($n > 0 ? $substring($m, 0, $n) & '.' & $substring($m, $n) \
    : $n > -6 ? '0.' & $pad('', -$n, '0') & $m \
    : $substring($m, 0, 1) & '.' & $substring($m, 1) & 'e-' & (1 - $n)) ) )}";
