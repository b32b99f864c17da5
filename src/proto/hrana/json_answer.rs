//! Reads Hrana's answers in JSON, straight into what they mean. Knows the shape
//! of it and nothing of its meaning.
//!
//! What an answer will take is estimated from its punctuation before it is
//! read; there is no tree of it that would be larger.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::budget::{Budget, Unread};
use super::{Batch, Decoded, Outcome, SqlError, protocol};
use crate::error::Result;
use crate::sqltext::statement::{Description, StatementResult};
use crate::sqltext::value::Value;
use crate::sqltext::wire::Scalar;

/// What a comma or an opening bracket of an answer takes, counted generously:
/// the least that stands for a row is `[],`, for a value `{"type":"null"},`.
const EACH: usize = 24;

/// No pipeline has more requests.
const MAX_RESULTS: usize = 8;

#[derive(Deserialize)]
struct Pipeline {
    baton: Option<String>,
    base_url: Option<String>,
    #[serde(deserialize_with = "few")]
    results: Vec<StreamResult>,
}

#[derive(Deserialize)]
struct StreamResult {
    error: Option<Box<JsonError>>,
    response: Option<Box<StreamResponse>>,
}

#[derive(Deserialize)]
struct StreamResponse {
    #[serde(rename = "type")]
    kind: String,
    result: Option<JsonResult>,
}

/// Of a statement or of a batch.
#[derive(Deserialize)]
struct JsonResult {
    cols: Option<Vec<Column>>,
    rows: Option<Vec<Vec<Value>>>,
    #[serde(default)]
    affected_row_count: Scalar,
    #[serde(default)]
    last_insert_rowid: Scalar,
    #[serde(default)]
    replication_index: Scalar,
    step_results: Option<Vec<Option<Box<JsonResult>>>>,
    step_errors: Option<Vec<Option<Box<JsonError>>>>,
    #[serde(default)]
    is_explain: bool,
    #[serde(default)]
    is_readonly: bool,
}

#[derive(Deserialize)]
struct Column {
    name: Option<String>,
    /// In a description.
    decltype: Option<String>,
}

#[derive(Deserialize)]
struct JsonError {
    #[serde(default)]
    message: String,
    code: Option<String>,
    extended_code: Option<String>,
}

/// Gives up at the first surplus result.
fn few<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<StreamResult>, D::Error> {
    struct Few;
    impl<'de> Visitor<'de> for Few {
        type Value = Vec<StreamResult>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of results")
        }

        fn visit_seq<A: SeqAccess<'de>>(
            self,
            mut list: A,
        ) -> std::result::Result<Self::Value, A::Error> {
            let mut results = Vec::new();
            while let Some(result) = list.next_element()? {
                if results.len() == MAX_RESULTS {
                    return Err(A::Error::custom("it has more results than there were requests"));
                }
                results.push(result);
            }
            Ok(results)
        }
    }
    from.deserialize_seq(Few)
}

/// `steps`: how many steps the batch of each request has; 0 where it is none.
pub(super) fn decode(
    body: &[u8],
    steps: &[usize],
    budget: &mut Budget,
) -> std::result::Result<Decoded, Unread> {
    budget.take(body.len())?;
    budget.take_each(punctuation(body), EACH)?;
    let Pipeline { baton, base_url, results } = serde_json::from_slice(body)
        .map_err(|error| protocol(format!("the primary's answer cannot be read: {error}")))?;
    let outcomes = results.into_iter().enumerate();
    let outcomes =
        outcomes.map(|(at, result)| outcome(result, steps.get(at).copied().unwrap_or(0)));
    Ok(Decoded { baton, base_url, outcomes: outcomes.collect::<Result<_>>()? })
}

/// Commas and opening brackets outside of texts.
fn punctuation(body: &[u8]) -> usize {
    let (mut count, mut inside, mut escaped) = (0, false, false);
    for byte in body {
        match (inside, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => inside = !inside,
            (false, b',' | b'[' | b'{') => count += 1,
            _ => {}
        }
    }
    count
}

fn outcome(result: StreamResult, steps: usize) -> Result<Outcome> {
    if let Some(error) = result.error {
        return Ok(Outcome::Failed(sql_error(*error)));
    }
    let (kind, result) = result.response.map_or((String::new(), None), |r| (r.kind, r.result));
    match (kind.as_str(), result) {
        ("execute", Some(result)) => {
            let frame_no = frame_no(&result)?;
            Ok(Outcome::Execute { result: statement_result(result)?, frame_no })
        }
        ("batch", Some(result)) => batch(result, steps),
        ("describe", Some(result)) => description(result),
        ("close", _) => Ok(Outcome::Close),
        _ => Err(protocol("the primary's answer holds a result of the wrong kind")),
    }
}

fn description(result: JsonResult) -> Result<Outcome> {
    let columns = result.cols.ok_or_else(|| protocol("the primary's description has no cols"))?;
    let column = |column: Column| (column.name.unwrap_or_default(), column.decltype);
    Ok(Outcome::Describe(Description {
        columns: columns.into_iter().map(column).collect(),
        is_explain: result.is_explain,
        is_readonly: result.is_readonly,
    }))
}

fn batch(result: JsonResult, steps: usize) -> Result<Outcome> {
    let frame_no = frame_no(&result)?;
    let incomplete = |name| protocol(format!("the primary's result has no complete {name}"));
    let results = result.step_results.filter(|list| list.len() == steps);
    let results = results.ok_or_else(|| incomplete("step_results"))?;
    let errors = result.step_errors.filter(|list| list.len() == steps);
    let errors = errors.ok_or_else(|| incomplete("step_errors"))?;
    let results = results.into_iter().map(|step| step.map(|step| statement_result(*step)));
    Ok(Outcome::Batch(Batch {
        results: results.map(Option::transpose).collect::<Result<_>>()?,
        errors: errors.into_iter().map(|step| step.map(|step| sql_error(*step))).collect(),
        frame_no,
    }))
}

/// The extended code says more, where there is one.
fn sql_error(JsonError { message, code, extended_code }: JsonError) -> SqlError {
    SqlError { message, code: extended_code.or(code).unwrap_or_default() }
}

/// Number of the last frame, a text or a number, absent or null where unknown.
fn frame_no(result: &JsonResult) -> Result<Option<u64>> {
    let number = match &result.replication_index {
        Scalar::Missing | Scalar::Null => return Ok(None),
        Scalar::Text(text) => text.parse().ok(),
        other => other.count(),
    };
    number.map(Some).ok_or_else(|| protocol("the primary's replication_index is no number"))
}

fn statement_result(result: JsonResult) -> Result<StatementResult> {
    let missing = |name| protocol(format!("the primary's result has no {name}"));
    let columns = result.cols.ok_or_else(|| missing("cols"))?;
    let rows = result.rows.ok_or_else(|| missing("rows"))?;
    if rows.iter().any(|row| row.len() != columns.len()) {
        return Err(protocol("the primary's row has another number of values than columns"));
    }
    Ok(StatementResult {
        columns: columns.into_iter().map(|column| column.name.unwrap_or_default()).collect(),
        rows,
        rows_affected: result.affected_row_count.count(),
        last_insert_rowid: result.last_insert_rowid.integer(),
    })
}
