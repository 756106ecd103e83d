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
            c if c == quote || c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
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
    OneOf,
    OrderOf,
    IsIn,
    Plus,
    TextOf,
    StringOf,
    IntegerOf,
    DoubleOf,
    SizeOf,
}

impl Helper {
    pub fn name(self) -> &'static str {
        match self {
            Self::Must => "$valueOf",
            Self::BooleanOf => "$booleanOf",
            Self::Finite => "$finiteOf",
            Self::ItemOf => "$itemOf",
            Self::OneOf => "$oneOf",
            Self::OrderOf => "$orderOf",
            Self::IsIn => "$isIn",
            Self::Plus => "$sumOf",
            Self::TextOf => "$digitsOf",
            Self::StringOf => "$textOf",
            Self::IntegerOf => "$integerOf",
            Self::DoubleOf => "$doubleOf",
            Self::SizeOf => "$sizeOf",
        }
    }

    /// Helpers that this one calls.
    pub fn needs(self) -> &'static [Self] {
        match self {
            Self::StringOf => &[Self::TextOf],
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
            Self::OneOf => "$oneOf := function($x) { $type($x) = 'array' ? [[$x]] : $x }",
            Self::OrderOf => {
                "$orderOf := function($x) { $type($x) = 'string' \
                 ? $replace($x, /[\\ud800-\\udbff]/, '\\uffff$0') : $x }"
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
            Self::SizeOf => {
                "$sizeOf := function($x) { $type($x) = 'string' ? $length($x) : $type($x) = 'array' ? $count($x) \
                 : $type($x) = 'object' ? $count($keys($x)) : $error('no size') }"
            }
        }
    }
}

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
