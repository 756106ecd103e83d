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
    pub const ALL: [Self; 17] = [
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
            | Self::Keys
            | Self::Has => Arity { min: 1, max: Some(1) },
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Join | Self::Split | Self::Default => {
                Arity { min: 2, max: Some(2) }
            }
            Self::Min | Self::Max => Arity { min: 1, max: None },
        }
    }
}
