//! serde over a [`Node`]: typed values that keep their places ([`Spanned`]).

use serde::de::value::{Error, MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::node::{Key, Node, NodeValue};
use super::scalars::{SPANNED, Spanned};
use super::span::Span;

/// The typed value of a node whose shape was checked. Fails only where shape and type disagree.
pub fn from_node<T: DeserializeOwned>(node: &Node) -> Result<T, Error> {
    T::deserialize(NodeDeserializer(node))
}

#[derive(Clone, Copy)]
/// serde over a node.
pub struct NodeDeserializer<'a>(&'a Node);

/// serde over a key.
pub struct KeyDeserializer<'a>(&'a Key);

impl<'a> IntoDeserializer<'a, Error> for &'a Node {
    type Deserializer = NodeDeserializer<'a>;

    fn into_deserializer(self) -> NodeDeserializer<'a> {
        NodeDeserializer(self)
    }
}

impl<'a> IntoDeserializer<'a, Error> for &'a Key {
    type Deserializer = KeyDeserializer<'a>;

    fn into_deserializer(self) -> KeyDeserializer<'a> {
        KeyDeserializer(self)
    }
}

impl<'de> Deserializer<'de> for NodeDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            NodeValue::Null => visitor.visit_unit(),
            NodeValue::Bool(value) => visitor.visit_bool(*value),
            NodeValue::Number(number) => {
                if let Some(n) = number.as_u64() {
                    visitor.visit_u64(n)
                } else if let Some(n) = number.as_i64() {
                    visitor.visit_i64(n)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or_default())
                }
            }
            NodeValue::String(text) => visitor.visit_borrowed_str(text),
            NodeValue::List(items) => SeqDeserializer::new(items.iter()).deserialize_any(visitor),
            NodeValue::Map(entries) => {
                MapDeserializer::new(entries.iter().map(|(key, value)| (key, value))).deserialize_any(visitor)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.value {
            NodeValue::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == SPANNED {
            visitor.visit_seq(Place {
                span: self.0.span,
                next: 0,
                value: self,
            })
        } else {
            self.deserialize_any(visitor)
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.0.value {
            NodeValue::String(text) => visitor.visit_enum(Variant {
                name: text,
                content: None,
            }),
            NodeValue::Map(entries) => match entries.as_slice() {
                [(key, content)] => visitor.visit_enum(Variant {
                    name: &key.text,
                    content: Some(content),
                }),
                _ => Err(de::Error::custom("expected one key")),
            },
            _ => Err(de::Error::custom("expected a name")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple map struct identifier ignored_any
    }
}

impl<'de> Deserializer<'de> for KeyDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(&self.0.text)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Place {
            span: self.0.span,
            next: 0,
            value: StrDeserializer::<Error>::new(&self.0.text),
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple map struct enum identifier ignored_any
    }
}

/// Start, end and value, one after the other: what [`Spanned`] asks for.
struct Place<D> {
    span: Span,
    next: u8,
    value: D,
}

impl<'a, D: Deserializer<'a, Error = Error> + Clone> SeqAccess<'a> for Place<D> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.next += 1;
        match self.next {
            1 => seed.deserialize(self.span.start.into_deserializer()).map(Some),
            2 => seed.deserialize(self.span.end.into_deserializer()).map(Some),
            3 => seed.deserialize(self.value.clone()).map(Some),
            _ => Ok(None),
        }
    }
}

struct Variant<'a> {
    name: &'a str,
    content: Option<&'a Node>,
}

impl<'a> EnumAccess<'a> for Variant<'a> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'a> VariantAccess<'a> for Variant<'a> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Error> {
        match self.content {
            Some(content) => seed.deserialize(NodeDeserializer(content)),
            None => Err(de::Error::custom("expected a value")),
        }
    }

    fn tuple_variant<V: Visitor<'a>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("no such form"))
    }

    fn struct_variant<V: Visitor<'a>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        match self.content {
            Some(content) => NodeDeserializer(content).deserialize_any(visitor),
            None => Err(de::Error::custom("expected a mapping")),
        }
    }
}

/// A node out of a node: the parts of the file that hold any value (`input`, `outputs`, types).
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, span } = Spanned::<NodeValue>::deserialize(deserializer)?;
        Ok(Node { span, value })
    }
}

impl<'de> Deserialize<'de> for NodeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNode;

        impl<'de> Visitor<'de> for AnyNode {
            type Value = NodeValue;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<NodeValue, E> {
                Ok(NodeValue::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<NodeValue, E> {
                Ok(NodeValue::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<NodeValue, E> {
                Ok(NodeValue::Number(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<NodeValue, E> {
                Ok(NodeValue::Number(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<NodeValue, E> {
                Ok(serde_json::Number::from_f64(value).map_or(NodeValue::Null, NodeValue::Number))
            }

            fn visit_str<E>(self, value: &str) -> Result<NodeValue, E> {
                Ok(NodeValue::String(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NodeValue, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(NodeValue::List(items))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<NodeValue, A::Error> {
                let mut entries = Vec::new();
                while let Some((Spanned { value: text, span }, node)) = map.next_entry::<Spanned<String>, Node>()? {
                    entries.push((Key { text, span }, node));
                }
                Ok(NodeValue::Map(entries))
            }
        }

        deserializer.deserialize_any(AnyNode)
    }
}
