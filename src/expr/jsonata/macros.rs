//! Macros: JSONata's `$reduce`, which keeps every item as it is, where `$map` and `$filter` unpack lists.

use super::Printer;
use super::code::{self, Code, Helper};
use crate::expr::{Expr, Macro, MacroCall, Type};

/// The variable of a macro's name. The capital keeps it apart from the state machine's own variables.
pub(super) fn variable(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    format!("$each{}{}", first.unwrap_or_default(), letters.as_str())
}

impl Printer<'_> {
    pub(super) fn macro_call(&mut self, call: &MacroCall) -> Code {
        let mut guards = Vec::new();
        let items = match &call.items.ty {
            Type::List(_) => self.strict(&call.items, &mut guards).text,
            _ => {
                let items = self.strict(&call.items, &mut guards).text;
                self.call(Helper::ItemsOf, &[&items])
            }
        };
        let each = variable(&call.variable);
        let body = match call.kind {
            Macro::Map => {
                let value = self.inside(&call.body);
                let value = self.kept(value, &call.body.ty);
                let more = format!("$append($all, {value})");
                match &call.filter {
                    Some(filter) => format!("{} ? {more} : $all", self.condition(filter)),
                    None => more,
                }
            }
            Macro::Filter => {
                let value = self.kept(each.clone(), &call.items.ty.item());
                format!("{} ? $append($all, {value}) : $all", self.condition(&call.body))
            }
            Macro::Exists => format!("$all ? true : {}", self.condition(&call.body)),
            Macro::All => format!("$all ? {} : false", self.condition(&call.body)),
            Macro::ExistsOne => format!("{} ? $all + 1 : $all", self.condition(&call.body)),
        };
        let start = match call.kind {
            Macro::Map | Macro::Filter => "[]",
            Macro::Exists => "false",
            Macro::All => "true",
            Macro::ExistsOne => "0",
        };
        let text = format!("$reduce({items}, function($all, {each}) {{ {body} }}, {start})");
        let code = match call.kind {
            Macro::ExistsOne => Code::of(format!("{text} = 1"), code::COMPARE, false),
            _ => Code::atom(text),
        };
        code.guarded(guards)
    }

    /// A value within the function, which raises where it has none: what it hangs on stays inside.
    fn inside(&mut self, expr: &Expr) -> String {
        let code = self.code(expr);
        self.proved(code).insisting(code::TERNARY + 1)
    }

    fn condition(&mut self, expr: &Expr) -> String {
        let code = self.code(expr);
        self.truth(code, &expr.ty).insisting(code::TERNARY + 1)
    }

    /// An item to append: a list must not be unpacked.
    fn kept(&mut self, text: String, ty: &Type) -> String {
        match ty.unwrapped() {
            Type::List(_) | Type::Any => self.call(Helper::OneOf, &[&text]),
            _ => text,
        }
    }
}
