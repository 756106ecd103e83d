//! Static types of the language.

use indexmap::IndexMap;
use serde_json::Value;
use std::fmt;

/// A static type. `Any` is known to nobody: every use of it is checked when it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Any JSON value.
    Any,
    /// Only null.
    Null,
    /// true or false.
    Boolean,
    /// A number without a fraction, within ±(2^53 - 1).
    Integer,
    /// A double.
    Number,
    /// Text.
    String,
    /// A list of one type.
    List(Box<Type>),
    /// An object with at least these fields; a field of type `Optional` may be missing.
    Object(IndexMap<String, Type>),
    /// The type, or null, or (as a field) missing.
    Optional(Box<Type>),
}

impl Type {
    /// The type of an optional, itself otherwise.
    pub fn unwrapped(&self) -> &Type {
        match self {
            Self::Optional(inner) => inner,
            other => other,
        }
    }

    /// This type, or null.
    pub fn optional(self) -> Type {
        match self {
            Self::Null | Self::Optional(_) => self,
            other => Self::Optional(Box::new(other)),
        }
    }

    /// True for what `string()` always takes: boolean, integer, number, string.
    pub fn is_scalar(&self) -> bool {
        matches!(self, Self::Boolean | Self::Integer | Self::Number | Self::String)
    }

    /// True for integer and number.
    pub fn is_numeric(&self) -> bool {
        matches!(self, Self::Integer | Self::Number)
    }

    /// The least type that holds both.
    pub fn join(&self, other: &Type) -> Type {
        match (self, other) {
            (a, b) if a == b => a.clone(),
            (Self::Any, _) | (_, Self::Any) => Self::Any,
            (Self::Null, b) => b.clone().optional(),
            (a, Self::Null) => a.clone().optional(),
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            (Self::Optional(a), b) | (b, Self::Optional(a)) => a.join(b.unwrapped()).optional(),
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.join(b))),
            (Self::Object(a), Self::Object(b)) => Self::Object(
                a.iter()
                    .filter_map(|(name, ty)| Some((name.clone(), ty.join(b.get(name)?))))
                    .collect(),
            ),
            _ => Self::Any,
        }
    }

    /// The type of a constant.
    pub fn of_value(value: &Value) -> Type {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) => match number.as_f64() {
                Some(n) if n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0 => Self::Integer,
                _ => Self::Number,
            },
            Value::String(_) => Self::String,
            Value::Array(items) => Self::List(Box::new(
                items
                    .iter()
                    .map(Self::of_value)
                    .reduce(|a, b| a.join(&b))
                    .unwrap_or(Self::Any),
            )),
            Value::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), Self::of_value(value)))
                    .collect(),
            ),
        }
    }
}

/// As the user writes it: `{ rows: integer, shards: [string] }`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Null => f.write_str("null"),
            Self::Boolean => f.write_str("boolean"),
            Self::Integer => f.write_str("integer"),
            Self::Number => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::List(item) => write!(f, "[{item}]"),
            Self::Object(fields) if fields.is_empty() => f.write_str("{}"),
            Self::Object(fields) => {
                f.write_str("{ ")?;
                for (i, (name, ty)) in fields.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{name}: {ty}")?;
                }
                f.write_str(" }")
            }
            Self::Optional(inner) => write!(f, "optional {inner}"),
        }
    }
}

/// The kinds of JSON value that a type admits, as a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// null
    pub const NULL: Self = Self(1);
    /// booleans
    pub const BOOLEAN: Self = Self(2);
    /// numbers
    pub const NUMBER: Self = Self(4);
    /// strings
    pub const STRING: Self = Self(8);
    /// lists
    pub const LIST: Self = Self(16);
    /// objects
    pub const OBJECT: Self = Self(32);
    /// What `string()` takes.
    pub const SCALAR: Self = Self(2 | 4 | 8);
    /// every value
    pub const ALL: Self = Self(63);

    /// Those of either.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// True where they share one.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// True where `other` has them all.
    pub const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

impl Type {
    /// The kinds of value it admits.
    pub fn kinds(&self) -> Kinds {
        match self {
            Self::Any => Kinds::ALL,
            Self::Null => Kinds::NULL,
            Self::Boolean => Kinds::BOOLEAN,
            Self::Integer | Self::Number => Kinds::NUMBER,
            Self::String => Kinds::STRING,
            Self::List(_) => Kinds::LIST,
            Self::Object(_) => Kinds::OBJECT,
            Self::Optional(inner) => inner.kinds().or(Kinds::NULL),
        }
    }

    /// The type of a list's items; `Any` for all that is not a list.
    pub fn item(&self) -> Type {
        match self.unwrapped() {
            Self::List(item) => (**item).clone(),
            _ => Self::Any,
        }
    }
}
