//! cel's tree to [`Syntax`], with the full extent of every node.
//!
//! cel marks a leaf by its text and every other node by one token (its operator, bracket or point); the
//! extent is that of its operands, with the brackets round them.

use std::ops::Range;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use serde_json::Value;

use super::lex::{Token, TokenKind};
use super::parse::{Call, Place, Syntax, SyntaxKind};
use super::problems::ExprProblem;
use super::{BinaryOp, UnaryOp};

/// The greatest integer that is safe in a double: 2^53 - 1.
pub(super) const MAX_INTEGER: i64 = 9_007_199_254_740_991;

/// What converting looks things up in.
pub(super) struct Input<'a> {
    text: &'a str,
    place: Place,
    tokens: &'a [Token],
    info: &'a SourceInfo,
}

/// A node with its range in the text.
struct Node {
    kind: SyntaxKind,
    range: Range<usize>,
}

/// A step of the way down the left side of a tree: chains of operators, fields and methods are walked in a loop.
enum Spine {
    Select {
        id: u64,
        field: String,
    },
    Index {
        id: u64,
        index: IdedExpr,
    },
    Binary {
        op: BinaryOp,
        right: IdedExpr,
    },
    Method {
        id: u64,
        name: String,
        arguments: Vec<IdedExpr>,
    },
}

type Converted<T> = Result<T, Vec<ExprProblem>>;

/// Converts a whole expression.
pub(super) fn convert(tree: IdedExpr, input: &Input) -> Converted<Syntax> {
    node(tree, input).map(|node| input.syntax(node))
}

fn node(tree: IdedExpr, input: &Input) -> Converted<Node> {
    let mut spine = Vec::new();
    let mut rest = tree;
    let mut base = loop {
        let IdedExpr { id, expr } = rest;
        rest = match expr {
            Expr::Select(select) => {
                spine.push(Spine::Select {
                    id,
                    field: select.field,
                });
                *select.operand
            }
            Expr::Call(call) => match descend(id, call) {
                Ok((step, left)) => {
                    spine.push(step);
                    left
                }
                Err(call) => break call_node(id, call, input)?,
            },
            other => break leaf(id, other, input)?,
        };
    };
    while let Some(step) = spine.pop() {
        base = climb(base, step, input)?;
    }
    Ok(base)
}

/// Splits a call into its left operand and the rest; gives it back where it has none.
fn descend(id: u64, mut call: CallExpr) -> Result<(Spine, IdedExpr), CallExpr> {
    if let Some(target) = call.target.take() {
        let step = Spine::Method {
            id,
            name: call.func_name,
            arguments: call.args,
        };
        return Ok((step, *target));
    }
    let binary = binary_op(&call.func_name);
    if call.args.len() != 2 || (binary.is_none() && call.func_name != operators::INDEX) {
        return Err(call);
    }
    let mut arguments = call.args.into_iter();
    match (arguments.next(), arguments.next(), binary) {
        (Some(left), Some(right), Some(op)) => Ok((Spine::Binary { op, right }, left)),
        (Some(left), Some(index), None) => Ok((Spine::Index { id, index }, left)),
        (left, right, _) => Err(CallExpr {
            func_name: call.func_name,
            target: None,
            args: left.into_iter().chain(right).collect(),
        }),
    }
}

fn climb(base: Node, step: Spine, input: &Input) -> Converted<Node> {
    match step {
        Spine::Select { id, field } => {
            let name = input.token_at(id).and_then(|point| input.tokens.get(point + 1));
            let name = name.map_or_else(|| base.range.clone(), |token| token.range.clone());
            let range = input.widen(&base.range).start..name.end;
            let kind = SyntaxKind::Select(Box::new(input.syntax(base)), field, input.place.span(name));
            Ok(Node { kind, range })
        }
        Spine::Index { id, index } => {
            let index = node(index, input)?;
            let end = input.close(id).unwrap_or(index.range.end);
            let range = input.widen(&base.range).start..end;
            let kind = SyntaxKind::Index(Box::new(input.syntax(base)), Box::new(input.syntax(index)));
            Ok(Node { kind, range })
        }
        Spine::Binary { op, right } => {
            let right = node(right, input)?;
            let range = input.widen(&base.range).start..input.widen(&right.range).end;
            let kind = SyntaxKind::Binary(op, Box::new(input.syntax(base)), Box::new(input.syntax(right)));
            Ok(Node { kind, range })
        }
        Spine::Method { id, name, arguments } => {
            let start = input.widen(&base.range).start;
            let (name_range, end) = input.call_extent(id, base.range.end);
            let receiver = input.syntax(base);
            let mut list = vec![receiver];
            for argument in arguments {
                list.push(input.syntax(node(argument, input)?));
            }
            Ok(Node {
                kind: SyntaxKind::Call(Call {
                    name,
                    name_span: input.place.span(name_range),
                    method: true,
                    arguments: list,
                }),
                range: start..end,
            })
        }
    }
}

fn call_node(id: u64, call: CallExpr, input: &Input) -> Converted<Node> {
    let mut arguments = Vec::with_capacity(call.args.len());
    for argument in call.args {
        arguments.push(node(argument, input)?);
    }
    let own = input.range(id);
    let unary = match call.func_name.as_str() {
        operators::LOGICAL_NOT => Some(UnaryOp::Not),
        operators::NEGATE => Some(UnaryOp::Negate),
        _ => None,
    };
    if let Some(op) = unary {
        let Some(operand) = arguments.pop() else {
            return Err(vec![input.unexpected(own)]);
        };
        let range = own.start..input.widen(&operand.range).end;
        let kind = SyntaxKind::Unary(op, Box::new(input.syntax(operand)));
        return Ok(Node { kind, range });
    }
    if call.func_name == operators::CONDITIONAL {
        let mut parts = arguments.into_iter();
        let (Some(condition), Some(yes), Some(no)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(vec![input.unexpected(own)]);
        };
        let range = input.widen(&condition.range).start..input.widen(&no.range).end;
        let kind = SyntaxKind::Ternary(
            Box::new(input.syntax(condition)),
            Box::new(input.syntax(yes)),
            Box::new(input.syntax(no)),
        );
        return Ok(Node { kind, range });
    }
    let (name_range, end) = input.call_extent(id, own.start);
    Ok(Node {
        range: name_range.start..end,
        kind: SyntaxKind::Call(Call {
            name: call.func_name,
            name_span: input.place.span(name_range),
            method: false,
            arguments: arguments.into_iter().map(|argument| input.syntax(argument)).collect(),
        }),
    })
}

fn leaf(id: u64, expr: Expr, input: &Input) -> Converted<Node> {
    let range = input.range(id);
    let bracketed = || range.start..input.close(id).unwrap_or(range.end);
    match expr {
        Expr::Literal(value) => literal(value, range, input),
        Expr::Ident(name) if name.starts_with('.') => Err(vec![input.unexpected(range)]),
        Expr::Ident(name) => Ok(Node {
            kind: SyntaxKind::Name(name),
            range,
        }),
        Expr::List(list) => {
            let mut items = Vec::with_capacity(list.elements.len());
            for item in list.elements {
                items.push(input.syntax(node(item, input)?));
            }
            Ok(Node {
                kind: SyntaxKind::List(items),
                range: bracketed(),
            })
        }
        Expr::Map(map) => {
            let mut fields: Vec<(String, Syntax)> = Vec::with_capacity(map.entries.len());
            for entry in map.entries {
                let EntryExpr::MapEntry(entry) = entry.expr else {
                    return Err(vec![input.unexpected(range)]);
                };
                let key = input.syntax(node(entry.key, input)?);
                let value = input.syntax(node(entry.value, input)?);
                let name = match key.kind {
                    SyntaxKind::Literal(Value::String(name)) => name,
                    _ => {
                        return Err(vec![ExprProblem::ObjectKey {
                            what: "a key that is not a constant string".to_owned(),
                            span: key.span,
                        }]);
                    }
                };
                if fields.iter().any(|(other, _)| *other == name) {
                    return Err(vec![ExprProblem::ObjectKey {
                        what: format!("the key `{name}` twice"),
                        span: key.span,
                    }]);
                }
                fields.push((name, value));
            }
            Ok(Node {
                kind: SyntaxKind::Object(fields),
                range: bracketed(),
            })
        }
        Expr::Struct(message) => Err(vec![ExprProblem::Unsupported {
            what: "messages",
            span: input.place.span(range),
            help: Some(format!(
                "write an object, without `{}` before the brace: `{{'key': value}}`",
                message.type_name
            )),
        }]),
        Expr::Comprehension(_) | Expr::Unspecified | Expr::Select(_) | Expr::Call(_) => {
            Err(vec![input.unexpected(range)])
        }
    }
}

fn literal(value: LiteralValue, range: Range<usize>, input: &Input) -> Converted<Node> {
    let out_of_range = |range: &Range<usize>| {
        vec![ExprProblem::NumberOutOfRange {
            found: input.text.get(range.clone()).unwrap_or_default().to_owned(),
            span: input.place.span(range.clone()),
        }]
    };
    let (value, range) = match value {
        LiteralValue::Null => (Value::Null, range),
        LiteralValue::Boolean(value) => (Value::Bool(*value.inner()), range),
        LiteralValue::String(text) => (Value::String(text.inner().to_owned()), range),
        LiteralValue::Int(number) => {
            let number = *number.inner();
            let range = input.signed(range, number < 0);
            if !(-MAX_INTEGER..=MAX_INTEGER).contains(&number) {
                return Err(out_of_range(&range));
            }
            (Value::from(number), range)
        }
        LiteralValue::Double(number) => {
            let number = *number.inner();
            let range = input.signed(range, number.is_sign_negative());
            match super::eval::number(number) {
                Some(number) => (Value::Number(number), range),
                None => return Err(out_of_range(&range)),
            }
        }
        LiteralValue::Bytes(_) | LiteralValue::UInt(_) => {
            return Err(vec![ExprProblem::Unsupported {
                what: "bytes and unsigned integers",
                span: input.place.span(range),
                help: None,
            }]);
        }
    };
    Ok(Node {
        kind: SyntaxKind::Literal(value),
        range,
    })
}

fn binary_op(name: &str) -> Option<BinaryOp> {
    Some(match name {
        operators::ADD => BinaryOp::Add,
        operators::SUBSTRACT => BinaryOp::Subtract,
        operators::MULTIPLY => BinaryOp::Multiply,
        operators::DIVIDE => BinaryOp::Divide,
        operators::MODULO => BinaryOp::Remainder,
        operators::EQUALS => BinaryOp::Equal,
        operators::NOT_EQUALS => BinaryOp::NotEqual,
        operators::LESS => BinaryOp::Less,
        operators::LESS_EQUALS => BinaryOp::LessEqual,
        operators::GREATER => BinaryOp::Greater,
        operators::GREATER_EQUALS => BinaryOp::GreaterEqual,
        operators::LOGICAL_AND => BinaryOp::And,
        operators::LOGICAL_OR => BinaryOp::Or,
        operators::IN => BinaryOp::In,
        _ => return None,
    })
}

impl<'a> Input<'a> {
    pub(super) fn new(text: &'a str, place: Place, tokens: &'a [Token], info: &'a SourceInfo) -> Self {
        Self {
            text,
            place,
            tokens,
            info,
        }
    }

    fn syntax(&self, node: Node) -> Syntax {
        Syntax {
            kind: node.kind,
            span: self.place.span(node.range),
        }
    }

    /// The text of the token that cel marked a node by; all of the text where there is none.
    fn range(&self, id: u64) -> Range<usize> {
        match self.info.offset_for(id) {
            // The end that cel gives is inclusive.
            Some((start, stop)) => {
                let start = (start as usize).min(self.text.len());
                start..(stop as usize + 1).clamp(start, self.text.len())
            }
            None => 0..self.text.len(),
        }
    }

    fn unexpected(&self, range: Range<usize>) -> ExprProblem {
        ExprProblem::Unexpected {
            found: self.text.get(range.clone()).unwrap_or_default().to_owned(),
            span: self.place.span(range),
            help: None,
        }
    }

    /// The position of the token that cel marked a node by.
    fn token_at(&self, id: u64) -> Option<usize> {
        let start = self.info.offset_for(id)?.0 as usize;
        self.tokens.binary_search_by_key(&start, |token| token.range.start).ok()
    }

    /// The end of the bracket that a node is marked by.
    fn close(&self, id: u64) -> Option<usize> {
        let open = self.tokens.get(self.token_at(id)?)?;
        Some(self.tokens.get(open.mate?)?.range.end)
    }

    /// The name of a call and the end of its brackets.
    fn call_extent(&self, id: u64, otherwise: usize) -> (Range<usize>, usize) {
        let position = self.token_at(id);
        let name = position
            .and_then(|position| position.checked_sub(1))
            .and_then(|position| self.tokens.get(position))
            .map_or(otherwise..otherwise, |token| token.range.clone());
        let end = self.close(id).unwrap_or(name.end);
        (name, end)
    }

    /// A number with the minus before it.
    fn signed(&self, range: Range<usize>, negative: bool) -> Range<usize> {
        let before = self
            .tokens
            .binary_search_by_key(&range.start, |token| token.range.start)
            .ok()
            .and_then(|position| position.checked_sub(1))
            .and_then(|position| self.tokens.get(position));
        match before {
            Some(minus) if negative && self.text.get(minus.range.clone()) == Some("-") => minus.range.start..range.end,
            _ => range,
        }
    }

    /// The range with the parentheses round it, but not those of a call.
    fn widen(&self, range: &Range<usize>) -> Range<usize> {
        let first = self.tokens.partition_point(|token| token.range.end <= range.start);
        let last = self.tokens.partition_point(|token| token.range.end <= range.end);
        let (mut before, mut after) = (first, last);
        let mut wide = range.clone();
        while let Some(open) = before.checked_sub(1).and_then(|at| self.tokens.get(at)) {
            let grouping = self.text.get(open.range.clone()) == Some("(") && open.mate == Some(after);
            let call = before
                .checked_sub(2)
                .and_then(|at| self.tokens.get(at))
                .is_some_and(|token| token.kind == TokenKind::Name && self.text.get(token.range.clone()) != Some("in"));
            if !grouping || call {
                break;
            }
            let Some(close) = self.tokens.get(after) else { break };
            wide = open.range.start..close.range.end;
            before -= 1;
            after += 1;
        }
        wide
    }
}
