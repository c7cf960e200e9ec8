//! The filter of a derived channel: a JMESPath expression over a message (RTS5). It sees `name`,
//! `clientId`, `id`, `timestamp` and `headers`, the flat headers of the extras.
//!
//! Invariant: what a filter costs is bounded by the size of its text times the size of the message,
//! because clients write it and it runs for every message. So it can compare, combine and walk what
//! is there, and build nothing: a few chained `[@, @][]` would be a list of any length.

use std::fmt;
use std::sync::Arc;

use jmespath::Variable;
use jmespath::ast::Ast;
use serde_json::{Value, json};
use types::error::{self, ErrorInfo};
use types::{Entry, Message};

/// Longest expression, in bytes.
const MAX_EXPRESSION: usize = 1024;

/// Most characters that begin or join parts of an expression, wherever they stand. They bound how
/// deep the parser and the evaluation recurse: a thousand opening parentheses overflow a stack.
const MAX_OPERATORS: usize = 100;
const OPERATORS: &[char] = &['(', '[', '{', '!', '&', '|', '.', '=', '<', '>', '*', '@'];

/// Functions whose result is not larger than their arguments.
const FUNCTIONS: &[&str] = &[
    "abs",
    "ceil",
    "contains",
    "ends_with",
    "floor",
    "length",
    "not_null",
    "starts_with",
    "to_number",
    "type",
];

#[derive(Clone)]
pub(crate) struct Filter(Arc<jmespath::Expression<'static>>);

impl Filter {
    pub(crate) fn parse(expression: &str) -> Result<Self, ErrorInfo> {
        let invalid = |reason: &str| {
            error::INVALID_CHANNEL_NAME.with(format!("invalid filter expression: {reason}"))
        };
        if expression.len() > MAX_EXPRESSION
            || expression.matches(OPERATORS).count() > MAX_OPERATORS
        {
            return Err(invalid("too long"));
        }
        let compiled = jmespath::compile(expression).map_err(|e| invalid(&e.reason.to_string()))?;
        if !only_selects(compiled.as_ast()) {
            return Err(invalid("a filter may select, compare and combine, not build values"));
        }
        Ok(Self(Arc::new(compiled)))
    }

    /// Whether the expression is true of the message at `index`. One that cannot be evaluated on it
    /// does not select it.
    pub(crate) fn selects(&self, entry: &Entry, index: usize, message: &Message) -> bool {
        let headers = message.extras.as_ref().and_then(|extras| extras.get("headers"));
        let subject = json!({
            "id": entry.item_id(index),
            "name": message.name,
            "clientId": message.client_id,
            "timestamp": entry.timestamp,
            "headers": headers.unwrap_or(&Value::Null),
        });
        self.0.search(subject).is_ok_and(|result| result.is_truthy())
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({})", self.0.as_str())
    }
}

fn only_selects(ast: &Ast) -> bool {
    match ast {
        Ast::Identity { .. } | Ast::Field { .. } | Ast::Index { .. } | Ast::Slice { .. } => true,
        // A list in the text, filtered by a list in the text, and so on, is work without bound.
        Ast::Literal { value, .. } => !matches!(**value, Variable::Array(_) | Variable::Object(_)),
        Ast::Not { node, .. } | Ast::ObjectValues { node, .. } => only_selects(node),
        Ast::Comparison { lhs, rhs, .. }
        | Ast::Projection { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. } => only_selects(lhs) && only_selects(rhs),
        Ast::Condition { predicate, then, .. } => only_selects(predicate) && only_selects(then),
        Ast::Function { name, args, .. } => {
            FUNCTIONS.contains(&name.as_str()) && args.iter().all(only_selects)
        }
        Ast::Expref { .. }
        | Ast::Flatten { .. }
        | Ast::MultiList { .. }
        | Ast::MultiHash { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_could_grow_what_it_looks_at_is_refused() {
        let doubling = "[@,@][]|".repeat(20) + "@";
        let nested_lists = "`[1,1,1,1]`[?".repeat(30) + "@" + &"]".repeat(30);
        let texts = [
            doubling.as_str(),
            nested_lists.as_str(),
            "{a: @}",
            "headers[]",
            "map(&name, @)",
            "to_string(to_array(@))",
            "join(name, headers)",
            "name ==",
            &"a".repeat(1025),
        ];
        for text in texts {
            assert_eq!(Filter::parse(text).unwrap_err().code, 40010, "{text:.60}");
        }
    }

    #[test]
    fn filters_as_people_write_them_are_accepted() {
        for text in [
            "name == 'order' && headers.region != 'eu'",
            "!(clientId == `\"bob\"`) || contains(headers.tags, 'x')",
            "headers.\"x-y\" > `5` && starts_with(name, 'a')",
            "headers.tags[?@ == 'a']",
            "headers.*.a | [0]",
        ] {
            assert!(Filter::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn nesting_as_deep_as_it_may_be_is_survived_and_deeper_is_refused() {
        for (open, close) in [
            ("(", ")"),
            ("!", ""),
            ("a[?", "]"),
            ("abs(", ")"),
            ("a.", ""),
            ("a|", ""),
            ("a||", ""),
        ] {
            let nested = |depth: usize| open.repeat(depth) + "a" + &close.repeat(depth);
            let depth = MAX_OPERATORS / open.matches(OPERATORS).count();
            let filter = Filter::parse(&nested(depth)).unwrap();
            let outcome = filter.0.search(json!({ "a": { "a": 1 } }));
            assert!(outcome.is_ok() || open == "abs(", "{open}");
            assert_eq!(Filter::parse(&nested(depth + 1)).unwrap_err().code, 40010);
        }
    }
}
