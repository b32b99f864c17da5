//! The parameters of an SQL statement: `?`, `?NNN`, `:name`, `@name`, `$name`,
//! numbered as SQLite does (sqlite.org/c3ref/bind_blob.html), and the arguments
//! for them.
//!
//! Servers bind arguments either by position or by name; with `?2` in the
//! place of `:name` it is always by position. Whether the rest of the text is
//! valid SQL is for the primary to say.

use crate::error::{Error, Kind, Result};
use crate::sqltext::value::Value;

/// SQLITE_MAX_VARIABLE_NUMBER as SQLite is usually built.
const MAX_NUMBER: usize = 32_766;

/// The parameters of one statement, as they are met in its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters<'a> {
    /// The highest number: how many arguments the statement takes.
    pub count: usize,
    /// Names with their marks, and their numbers.
    pub names: Vec<(&'a str, usize)>,
}

impl<'a> Parameters<'a> {
    /// Takes the next parameter of the text; its number if it is a name.
    ///
    /// Errors of kind BadArgument: `?NNN` with a number that SQLite refuses.
    pub fn take(&mut self, token: &'a str) -> Result<Option<usize>> {
        if let Some(digits) = token.strip_prefix('?') {
            let number = if digits.is_empty() { Some(self.count + 1) } else { digits.parse().ok() };
            let number = number.filter(|number| (1..=MAX_NUMBER).contains(number));
            let number = number.ok_or_else(|| {
                bad(format!("parameter {token}: the number must be between ?1 and ?{MAX_NUMBER}"))
            })?;
            self.count = self.count.max(number);
            return Ok(None);
        }
        let known = self.names.iter().find(|(name, _)| *name == token).map(|(_, number)| *number);
        let number = known.unwrap_or(self.count + 1);
        if known.is_none() {
            self.names.push((token, number));
            self.count = number;
        }
        Ok(Some(number))
    }

    /// The name of each parameter in the order of their numbers, where it has
    /// one.
    pub fn in_order(&self) -> Vec<Option<&'a str>> {
        let mut list = vec![None; self.count];
        for (name, number) in &self.names {
            list[number - 1] = Some(*name);
        }
        list
    }
}

/// The same, apart from the text they were read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedParameters {
    count: usize,
    names: Vec<(String, usize)>,
}

impl Parameters<'_> {
    pub fn keep(&self) -> NamedParameters {
        let names = self.names.iter().map(|(name, number)| ((*name).to_owned(), *number));
        NamedParameters { count: self.count, names: names.collect() }
    }
}

impl NamedParameters {
    pub fn borrow(&self) -> Parameters<'_> {
        let names = self.names.iter().map(|(name, number)| (name.as_str(), *number));
        Parameters { count: self.count, names: names.collect() }
    }
}

/// The arguments that a call gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Arguments {
    /// One for each number.
    Listed(Vec<Value>),
    /// By name, with or without the mark before it; or by number.
    Named(Vec<(String, Value)>),
}

impl Default for Arguments {
    fn default() -> Arguments {
        Arguments::Listed(Vec::new())
    }
}

impl Arguments {
    pub fn is_empty(&self) -> bool {
        match self {
            Arguments::Listed(list) => list.is_empty(),
            Arguments::Named(list) => list.is_empty(),
        }
    }

    /// One value for each parameter, in the order of their numbers.
    pub fn bind(self, parameters: &Parameters<'_>) -> Result<Vec<Value>> {
        match self {
            Arguments::Listed(values) => {
                check_count(parameters.count, values.len())?;
                Ok(values)
            }
            Arguments::Named(values) => bind_named(values, parameters),
        }
    }
}

/// An argument that no parameter takes is a misspelt name, and a parameter
/// without one would be NULL: both are refused.
fn bind_named(values: Vec<(String, Value)>, parameters: &Parameters<'_>) -> Result<Vec<Value>> {
    let mut bound: Vec<Option<Value>> = vec![None; parameters.count];
    for (key, value) in values {
        let mut found = false;
        for (name, number) in &parameters.names {
            if *name == key || name[1..] == key {
                bound[number - 1] = Some(value.clone());
                found = true;
            }
        }
        let number = key.strip_prefix('?').unwrap_or(&key).parse::<usize>().ok();
        if let Some(number) = number.filter(|number| !found && (1..=bound.len()).contains(number)) {
            bound[number - 1] = Some(value);
            found = true;
        }
        if !found {
            return Err(bad(format!(
                "there is no parameter for the argument \"{key}\" in the statement"
            )));
        }
    }
    let names = parameters.in_order();
    let complete = bound.into_iter().enumerate().map(|(at, value)| {
        value.ok_or_else(|| {
            let name = names[at].map_or_else(|| format!("?{}", at + 1), str::to_owned);
            bad(format!("there is no argument for the parameter {name}"))
        })
    });
    complete.collect()
}

pub fn check_count(parameters: usize, args: usize) -> Result<()> {
    if parameters == args {
        return Ok(());
    }
    let number = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    Err(bad(format!(
        "the statement has {} and the call gives {}; one belongs to each parameter",
        number(parameters, "parameter"),
        number(args, "argument")
    )))
}

fn bad(text: impl Into<String>) -> Error {
    Error::new(Kind::BadArgument, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqltext::script::cut;

    fn positional(sql: &str) -> Result<(String, usize)> {
        let cuts = cut(sql, |_| false)?;
        let Some(only) = cuts.into_iter().next() else { return Ok((sql.to_owned(), 0)) };
        Ok((only.text.into_owned(), only.parameters.count))
    }

    #[test]
    fn parameters_are_counted_as_sqlite_does() {
        for (sql, count) in [
            ("", 0),
            ("select 1", 0),
            ("select ?", 1),
            ("select ?, ?", 2),
            ("select ?3", 3),
            ("select ?, ?3, ?", 4),
            ("select ?2, ?1, ?", 3),
            ("select '?', \"?\", `?`, [?], '''?'", 0),
            ("select '?', ? -- ?\n, ? /* ? */", 2),
            ("select ? /* ? ", 1),
            ("select '? ", 0),
            ("select a?, x'?', ?b", 2),
            ("select a$b, a:, :, @ , $", 0),
            ("select 1?", 1),
            ("select \u{e4}?\u{1F600}?", 2),
            ("-", 0),
            ("-- ?", 0),
            ("/", 0),
            ("/*", 0),
            ("select 5-?/?", 2),
        ] {
            let (same, found) = positional(sql).unwrap();
            assert_eq!(found, count, "{sql}");
            assert_eq!(same, sql);
        }
    }

    #[test]
    fn names_become_numbers_in_the_order_of_their_first_appearance() {
        for (sql, expected, count) in [
            ("select :a, :b, :a", "select ?1, ?2, ?1", 2),
            ("select :a, @a, $a", "select ?1, ?2, ?3", 3),
            ("select ?, :a, ?, :a, ?", "select ?, ?2, ?, ?2, ?", 4),
            ("select ?5, :a", "select ?5, ?6", 6),
            ("select :a, ?1", "select ?1, ?1", 1),
            ("select $a::b(c), ':a'", "select ?1, ':a'", 1),
            ("select :a(b c)", "select ?1(b c)", 1),
            ("select :1, :\u{e4}", "select ?1, ?2", 2),
            ("select a=:a,b=:b", "select a=?1,b=?2", 2),
        ] {
            let (rewritten, found) = positional(sql).unwrap();
            assert_eq!((rewritten.as_str(), found), (expected, count), "{sql}");
        }
    }

    #[test]
    fn what_sqlite_would_not_read_is_refused() {
        for sql in ["select ?0", "select ?32767", "select ?99999999999999999999", "select 1\0, ?"] {
            assert_eq!(positional(sql).unwrap_err().kind(), Kind::BadArgument, "{sql:?}");
        }
        assert_eq!(positional("select ?32766").unwrap().1, 32_766);
    }

    #[test]
    fn arguments_find_their_parameters_by_name_with_or_without_the_mark() {
        let cuts = cut("select :a, @b, $c, ?, :a", |_| false).unwrap();
        let given = |names: &[(&str, i64)]| {
            let value = |(name, value): &(&str, i64)| ((*name).to_owned(), Value::Integer(*value));
            Arguments::Named(names.iter().map(value).collect()).bind(&cuts[0].parameters)
        };
        let expected: Vec<Value> = (1..=4).map(Value::Integer).collect();
        assert_eq!(given(&[("c", 3), ("a", 1), ("@b", 2), ("4", 4)]), Ok(expected.clone()));
        assert_eq!(given(&[(":a", 1), ("b", 2), ("$c", 3), ("?4", 4)]), Ok(expected));
        let missing = given(&[("a", 1), ("b", 2), ("c", 3)]).unwrap_err();
        assert_eq!(missing.to_string(), "there is no argument for the parameter ?4");
        let unknown = given(&[("d", 1)]).unwrap_err();
        assert!(unknown.to_string().contains("the argument \"d\""), "{unknown}");
    }
}
