//! The columns of our tables: what they are called, and in a line what they say.

/// A column of a table.
pub struct Column {
    pub name: &'static str,
    pub kind: &'static str,
    pub help: &'static str,
}

pub const fn text(name: &'static str, help: &'static str) -> Column {
    Column { name, kind: "TEXT", help }
}

pub const fn integer(name: &'static str, help: &'static str) -> Column {
    Column { name, kind: "INTEGER", help }
}

pub const fn real(name: &'static str, help: &'static str) -> Column {
    Column { name, kind: "REAL", help }
}

/// What SQLite is told of a table: these columns, and `rest` behind them.
pub fn create_table<'a>(columns: impl IntoIterator<Item = &'a Column>, rest: &str) -> String {
    let columns = columns.into_iter().map(|column| format!("{} {}", column.name, column.kind));
    let all: Vec<String> = columns.chain(Some(rest.to_owned())).filter(|c| !c.is_empty()).collect();
    format!("CREATE TABLE x({})", all.join(", "))
}
