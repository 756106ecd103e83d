//! Stages: parts of the file that lie over the rest, chosen by name. A stage is a JSON merge patch (RFC 7396).
//!
//! The patch is applied to the tree, before anything is read from it: what a stage wrote keeps the place where the
//! stage wrote it, so every problem points at the line that caused it.

use indexmap::IndexMap;

use super::node::{Key, Node, NodeValue};
use super::problems::SyntaxProblem;
use super::shape;
use super::span::Span;
use super::suggest;
use crate::diagnostics::Problems;

/// The key that holds the stages.
pub const STAGES: &str = "stages";

/// What all stages of a file have in common.
pub const FIXED: [&str; 2] = ["mlpipe", STAGES];

type Entries = Vec<(Key, Node)>;

/// A file as a tree, its stages apart.
#[derive(Clone, Debug)]
pub struct Staged {
    base: Node,
    /// Where `stages` stands.
    place: Option<Span>,
    stages: IndexMap<String, Entries>,
}

impl Staged {
    /// Takes the stages out of the tree of a file, and says what is wrong with their form.
    pub fn of(root: Node, problems: &mut Problems) -> Self {
        let NodeValue::Map(entries) = root.value else {
            return Self {
                base: root,
                place: None,
                stages: IndexMap::new(),
            };
        };
        let (apart, rest): (Entries, Entries) = entries.into_iter().partition(|(key, _)| key.text == STAGES);
        let mut stages = IndexMap::new();
        for (key, node) in &apart {
            for (name, node) in mapping(key, node, problems).unwrap_or_default() {
                if let Some(patch) = patch(name, node, problems) {
                    stages.insert(name.text.clone(), patch);
                }
            }
        }
        Self {
            base: Node {
                span: root.span,
                value: NodeValue::Map(rest),
            },
            place: apart.first().map(|(key, _)| key.span),
            stages,
        }
    }

    /// The stages' names, in file order.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.stages.keys().map(String::as_str)
    }

    /// The file without its stages.
    pub fn base(&self) -> &Node {
        &self.base
    }

    /// The file with a stage laid over it, or without one; None where there is no such stage.
    pub fn select(&self, stage: Option<&str>, problems: &mut Problems) -> Option<Node> {
        let Some(name) = stage else {
            return Some(self.base.clone());
        };
        let Some(patch) = self.stages.get(name) else {
            problems.push(SyntaxProblem::UnknownStage {
                name: name.to_owned(),
                span: self.place,
                help: if self.stages.is_empty() {
                    "leave `--stage` out, or add `stages:` to the file".to_owned()
                } else {
                    suggest::help(name, self.names(), "stages in this file")
                },
            });
            return None;
        };
        let NodeValue::Map(entries) = self.base.value.clone() else {
            return Some(self.base.clone());
        };
        Some(Node {
            span: self.base.span,
            value: NodeValue::Map(overlay(entries, patch, problems)),
        })
    }
}

/// The entries of a mapping; a problem where it is none.
fn mapping<'a>(key: &Key, node: &'a Node, problems: &mut Problems) -> Option<&'a [(Key, Node)]> {
    let NodeValue::Map(entries) = &node.value else {
        problems.push(SyntaxProblem::WrongType {
            place: format!("`{}`", key.text),
            expected: "a mapping".to_owned(),
            found: node.kind().to_owned(),
            span: if node.span.start == node.span.end {
                key.span
            } else {
                shape::head(node)
            },
            help: Some(match node.value {
                NodeValue::Null => "write `{}` for an empty mapping".to_owned(),
                _ => "write keys and values: `{ key: … }`".to_owned(),
            }),
        });
        return None;
    };
    Some(entries)
}

/// A stage without the keys that no stage can change.
fn patch(name: &Key, node: &Node, problems: &mut Problems) -> Option<Entries> {
    let entries = mapping(name, node, problems)?;
    let (fixed, rest): (Entries, Entries) = entries
        .iter()
        .cloned()
        .partition(|(key, _)| FIXED.contains(&key.text.as_str()));
    for (key, _) in fixed {
        problems.push(SyntaxProblem::FixedKey {
            stage: name.text.clone(),
            span: key.span,
            help: format!("remove `{}` here: it stands once, at the top of the file", key.text),
            key: key.text,
        });
    }
    Some(rest)
}

/// The merge patch: mappings are merged key by key, null removes a key, anything else replaces what was there. Keys keep
/// their order, new ones come last.
fn overlay(base: Entries, patch: &[(Key, Node)], problems: &mut Problems) -> Entries {
    let mut merged: IndexMap<String, Option<(Key, Node)>> = base
        .into_iter()
        .map(|(key, node)| (key.text.clone(), Some((key, node))))
        .collect();
    for (key, node) in patch {
        let old = merged.get_mut(&key.text).and_then(Option::take);
        let new = match (&node.value, old) {
            (NodeValue::Null, Some(_)) => None,
            (NodeValue::Null, None) => {
                let there = merged.iter().filter(|(_, entry)| entry.is_some());
                let near = suggest::nearest(&key.text, there.map(|(name, _)| name.as_str()));
                problems.push(SyntaxProblem::RemovesNothing {
                    key: key.text.clone(),
                    span: key.span,
                    help: match near {
                        Some(name) => format!("did you mean `{name}`?"),
                        None => format!("remove `{}` here: a stage cannot set a value to null", key.text),
                    },
                });
                continue;
            }
            (NodeValue::Map(inner), old) => {
                let (key, span, below) = match old {
                    Some((
                        key,
                        Node {
                            span,
                            value: NodeValue::Map(below),
                        },
                    )) => (key, span, below),
                    _ => (key.clone(), node.span, Vec::new()),
                };
                let value = NodeValue::Map(overlay(below, inner, problems));
                Some((key, Node { span, value }))
            }
            _ => Some((key.clone(), node.clone())),
        };
        merged.insert(key.text.clone(), new);
    }
    merged.into_values().flatten().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::syntax::node;

    /// What a stage makes of a base, both in YAML's JSON subset, and how many problems it has.
    fn merged(base: &Value, patch: &Value) -> (Value, usize) {
        let file = json!({ "base": base, "stages": { "s": { "base": patch } } });
        let mut problems = Problems::new();
        let tree = node::parse(&file.to_string(), &mut problems).expect("a tree");
        let merged = Staged::of(tree, &mut problems)
            .select(Some("s"), &mut problems)
            .expect("a stage");
        let value = merged.get("base").map_or(Value::Null, Node::to_json);
        (value, problems.sorted().len())
    }

    /// The examples of RFC 7396, appendix A, below a key of the file, as far as base and patch are objects or lists.
    #[test]
    fn the_examples_of_the_standard() {
        for (base, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(merged(&base, &patch).0, expected, "{base} with {patch}");
        }
    }

    #[test]
    fn keys_keep_their_order_and_new_ones_come_last() {
        let (merged, _) = merged(
            &json!({"z": 1, "m": {"y": 1, "b": 2}, "a": 3}),
            &json!({"c": 4, "m": {"a": 0, "y": 5}, "z": 6}),
        );
        assert_eq!(merged.to_string(), r#"{"z":6,"m":{"y":5,"b":2,"a":0},"a":3,"c":4}"#);
    }

    #[test]
    fn a_null_that_removes_nothing_is_pointed_out() {
        assert_eq!(merged(&json!({"a": 1}), &json!({"a": null})).1, 0);
        assert_eq!(merged(&json!({"a": 1}), &json!({"b": null})).1, 1);
        assert_eq!(
            merged(&json!({"a": 1}), &json!({"new": {"x": null}})).1,
            1,
            "nor can a stage write a null"
        );
    }

    /// The merge as the standard's pseudocode has it.
    fn by_the_book(target: Value, patch: Value) -> Value {
        let Value::Object(patch) = patch else { return patch };
        let mut target = match target {
            Value::Object(target) => target,
            _ => Map::new(),
        };
        for (name, value) in patch {
            if value.is_null() {
                target.shift_remove(&name);
            } else {
                let old = target.get(&name).cloned().unwrap_or_default();
                target.insert(name, by_the_book(old, value));
            }
        }
        Value::Object(target)
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..9).prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec(("[a-d]", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_stage_merges_as_the_standard_says(base in values(), patch in values()) {
            let whole = by_the_book(json!({ "base": base }), json!({ "base": patch }));
            prop_assert_eq!(merged(&base, &patch).0, whole.get("base").cloned().unwrap_or_default());
        }
    }
}
