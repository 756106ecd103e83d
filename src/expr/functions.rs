//! The table of functions. A new function is one variant here, one arm in `types`, `eval` and each printer: the compiler lists them.

/// The functions of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// `size(x)`: code points, items or keys.
    Size,
    /// `contains(x, y)`: a substring, or an item by deep equality.
    Contains,
    /// `startsWith(s, prefix)`.
    StartsWith,
    /// `endsWith(s, suffix)`.
    EndsWith,
    /// `string(x)`.
    String,
    /// `int(x)`.
    Int,
    /// `double(x)`.
    Double,
    /// `min(a, b, …)` or `min(list)`.
    Min,
    /// `max(a, b, …)` or `max(list)`.
    Max,
    /// `abs(x)`.
    Abs,
    /// `floor(x)`.
    Floor,
    /// `ceil(x)`.
    Ceil,
    /// `join(list, separator)`.
    Join,
    /// `split(s, separator)`.
    Split,
    /// `keys(object)`: sorted by code point.
    Keys,
    /// `matches(s, pattern)`: the pattern, a literal, matches a part of the text.
    Matches,
    /// `lowerAscii(s)`: A–Z as a–z.
    LowerAscii,
    /// `upperAscii(s)`: a–z as A–Z.
    UpperAscii,
    /// `bool(x)`: of a boolean, `'true'` or `'false'`.
    Bool,
    /// `sum(list)`: from the left; 0 of an empty list.
    Sum,
    /// `round(x)`: half to even.
    Round,
    /// `range(n)` or `range(a, b)`: the integers from 0 or `a` on, before `n` or `b`.
    Range,
    /// `values(object)`: in the order of `keys`.
    Values,
    /// `merge(a, b)`: the fields of both; where both have one, `b`'s.
    Merge,
    /// `json(x)`: compact text, keys sorted by code point.
    Json,
    /// `parse_json(s)`.
    ParseJson,
    /// `base64(s)`: of the text in UTF-8.
    Base64,
    /// `timestamp(s)`: Unix seconds of an RFC 3339 time, to the millisecond.
    Timestamp,
    /// `duration('90s')`: in seconds.
    Duration,
    /// `default(path, fallback)`.
    Default,
    /// `has(path)`.
    Has,
}

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity {
    /// Fewest.
    pub min: usize,
    /// Most; None is no bound.
    pub max: Option<usize>,
}

impl Function {
    /// Every function, in the order of the documentation.
    pub const ALL: [Self; 31] = [
        Self::Size,
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::String,
        Self::Int,
        Self::Double,
        Self::Min,
        Self::Max,
        Self::Abs,
        Self::Floor,
        Self::Ceil,
        Self::Join,
        Self::Split,
        Self::Keys,
        Self::Matches,
        Self::LowerAscii,
        Self::UpperAscii,
        Self::Bool,
        Self::Sum,
        Self::Round,
        Self::Range,
        Self::Values,
        Self::Merge,
        Self::Json,
        Self::ParseJson,
        Self::Base64,
        Self::Timestamp,
        Self::Duration,
        Self::Default,
        Self::Has,
    ];

    /// The name as written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::String => "string",
            Self::Int => "int",
            Self::Double => "double",
            Self::Min => "min",
            Self::Max => "max",
            Self::Abs => "abs",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
            Self::Join => "join",
            Self::Split => "split",
            Self::Keys => "keys",
            Self::Matches => "matches",
            Self::LowerAscii => "lowerAscii",
            Self::UpperAscii => "upperAscii",
            Self::Bool => "bool",
            Self::Sum => "sum",
            Self::Round => "round",
            Self::Range => "range",
            Self::Values => "values",
            Self::Merge => "merge",
            Self::Json => "json",
            Self::ParseJson => "parse_json",
            Self::Base64 => "base64",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Default => "default",
            Self::Has => "has",
        }
    }

    /// The function of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    /// How many arguments it takes.
    pub fn arity(self) -> Arity {
        match self {
            Self::Size
            | Self::String
            | Self::Int
            | Self::Double
            | Self::Abs
            | Self::Floor
            | Self::Ceil
            | Self::LowerAscii
            | Self::UpperAscii
            | Self::Bool
            | Self::Sum
            | Self::Round
            | Self::Values
            | Self::Json
            | Self::ParseJson
            | Self::Base64
            | Self::Timestamp
            | Self::Duration
            | Self::Keys
            | Self::Has => Arity { min: 1, max: Some(1) },
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Join | Self::Split | Self::Default => {
                Arity { min: 2, max: Some(2) }
            }
            Self::Matches | Self::Merge => Arity { min: 2, max: Some(2) },
            Self::Range => Arity { min: 1, max: Some(2) },
            Self::Min | Self::Max => Arity { min: 1, max: None },
        }
    }
}

/// Macros: methods of a list, or of an object's keys, with a name and an expression over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Macro {
    /// `xs.map(x, e)` and `xs.map(x, p, e)`: the values of `e`, of the items where `p` holds.
    Map,
    /// `xs.filter(x, p)`: the items where `p` holds.
    Filter,
    /// `xs.exists(x, p)`: `p` holds for one; what is behind the first is not looked at.
    Exists,
    /// `xs.exists_one(x, p)`: `p` holds for exactly one; every item is looked at.
    ExistsOne,
    /// `xs.all(x, p)`: `p` holds for each; what is behind the first for which it does not is not looked at.
    All,
}

impl Macro {
    /// Every macro, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Map, Self::Filter, Self::Exists, Self::ExistsOne, Self::All];

    /// The name as written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Filter => "filter",
            Self::Exists => "exists",
            Self::ExistsOne => "exists_one",
            Self::All => "all",
        }
    }

    /// The macro of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|found| found.name() == name)
    }
}

/// Most items that `range` gives.
pub const MOST_IN_RANGE: f64 = 10_000.0;
