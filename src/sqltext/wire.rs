//! Reads a SQL value in the form that Hrana gives it in JSON, without a tree
//! of JSON in between.

use std::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

use super::value::{BASE64, Value};
use base64::Engine as _;

/// A JSON value that is neither a list nor an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Scalar {
    /// It is not there at all.
    #[default]
    Missing,
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl Scalar {
    /// Hrana writes integers as text, some servers as numbers.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Scalar::Integer(number) => Some(*number),
            Scalar::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A number that counts something.
    pub fn count(&self) -> Option<u64> {
        match self {
            Scalar::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Scalar, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number or null")
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Null)
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Scalar, E> {
                Ok(Scalar::Integer(i64::from(truth)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(i64::try_from(number).map_or(Scalar::Real(number as f64), Scalar::Integer))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar::Real(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Scalar, E> {
                Ok(Scalar::Text(text))
            }
        }
        from.deserialize_any(Any)
    }
}

/// `{"type":..., "value":...}`, or `"base64"` for a blob.
#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    value: Scalar,
    base64: Option<String>,
}

/// In Hrana's form.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
        let Typed { kind, value, base64 } = Typed::deserialize(from)?;
        let read = match (kind.as_str(), value) {
            ("null", _) => Some(Value::Null),
            ("integer", value) => value.integer().map(Value::Integer),
            // What has no form in JSON: an infinite number.
            ("float", Scalar::Null) => Some(Value::Null),
            ("float", Scalar::Real(number)) => Some(Value::Real(number)),
            ("float", Scalar::Integer(number)) => Some(Value::Real(number as f64)),
            ("text", Scalar::Text(text)) => Some(Value::Text(text)),
            ("blob", _) => base64.and_then(|text| BASE64.decode(text).ok()).map(Value::Blob),
            _ => None,
        };
        read.ok_or_else(|| {
            let kind: String = kind.chars().take(20).collect();
            D::Error::custom(format!("it holds a value of type {kind:?} that cannot be read"))
        })
    }
}
