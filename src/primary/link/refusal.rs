//! What a server means that refuses: an HTTP status and a text beside it, as
//! sqld, Turso's servers and the gateways in front of them give them.

use super::Link;
use super::http::Answer;
use crate::code;
use crate::error::{Error, Kind};

/// Longest part of a refusal that is read.
pub(in crate::primary) const MAX_REFUSAL: usize = 16 * 1024;

/// What a text about a token speaks of.
const ABOUT_TOKENS: [&str; 6] = ["token", "auth", "permission", "jwt", "credential", "read-only"];

/// What a text about an account speaks of.
const ABOUT_ACCOUNTS: [&str; 6] = ["blocked", "forbidden", "upgrade", "plan", "quota", "exceeded"];

fn speaks_of(text: &str, words: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}

impl Link {
    pub fn token_refused(&self, said: &str) -> Error {
        let peer = self.peer();
        Error::new(
            Kind::Auth,
            if self.has_token() {
                format!("the primary at {peer} refused the token: {said}; give it a new one")
            } else {
                format!("the primary at {peer} wants a token: {said}; give it one")
            },
        )
    }

    /// What an HTTP status other than 200 means. `server`: what was expected
    /// there, for the text.
    pub fn http_refusal(&self, answer: &mut Answer, write: bool, server: &str) -> Error {
        let said = self.reason(answer);
        self.refusal_because(answer, &said, write, server)
    }

    /// The same of an answer whose reason has been read.
    pub fn refusal_because(&self, answer: &Answer, said: &str, write: bool, server: &str) -> Error {
        let (peer, status) = (self.peer(), answer.status());
        let because = if said.is_empty() { String::new() } else { format!(": {said}") };
        match status {
            401 => self.token_refused(if said.is_empty() { "status 401" } else { said }),
            403 => self.forbidden(said, write),
            // sqld says so of a namespace, and only sqld says it in JSON.
            404 if said.contains("route not found") => Error::new(
                Kind::Protocol,
                format!(
                    "the server at {peer} answered 404{because}; this does not look like \
                     {server}: check the URL"
                ),
            ),
            404 if answer.content_type() == "application/json" && !said.is_empty() => Error::new(
                Kind::Protocol,
                format!("the primary at {peer} has no such database: {said}"),
            ),
            413 => self.too_large(answer.request_bytes()),
            421 | 426 | 464 | 505 => Error::new(
                Kind::Protocol,
                format!(
                    "what stands before the primary at {peer} wants another version of HTTP \
                     ({status}); let it speak HTTP/1.1"
                ),
            ),
            501 => self.not_a_primary(answer, server),
            408 | 429 | 500..=599 => Error::new(
                Kind::Unavailable,
                format!("the primary at {peer} answered {status}{because}"),
            ),
            400 | 422 if !said.is_empty() => Error::new(
                Kind::Protocol,
                format!("the primary at {peer} does not accept the request: {said}"),
            ),
            _ => self.not_a_primary(answer, server),
        }
    }

    /// 403 is about what is asked for, not about who asks, unless it says so.
    fn forbidden(&self, said: &str, write: bool) -> Error {
        let peer = self.peer();
        if speaks_of(said, &ABOUT_TOKENS) {
            return match write {
                true => Error::new(
                    Kind::Auth,
                    format!("the primary at {peer} does not let this token write: {said}"),
                ),
                false => self.token_refused(said),
            };
        }
        let text = match said {
            "" => format!(
                "the primary at {peer}, or what stands before it, does not allow this (403)"
            ),
            said if speaks_of(said, &ABOUT_ACCOUNTS) => format!(
                "the primary at {peer} does not allow this: {said}; look at the account's quota \
                 and plan"
            ),
            said => format!("the primary at {peer} does not allow this: {said}"),
        };
        Error::new(Kind::Auth, text)
    }

    fn too_large(&self, bytes: usize) -> Error {
        let peer = self.peer();
        Error::new(
            Kind::Remote(code::TOOBIG),
            format!(
                "the primary at {peer}, or what stands before it, takes no request of {bytes} \
                 bytes (413); send less at a time, or raise its limit (nginx: \
                 client_max_body_size)"
            ),
        )
    }

    /// The reason in the body of a refusal, if it holds one for people.
    pub fn reason(&self, answer: &mut Answer) -> String {
        let kind = answer.content_type().to_owned();
        if answer.encoding().is_some() {
            return String::new();
        }
        let Ok(Some(body)) = answer.read_to_end(MAX_REFUSAL) else { return String::new() };
        let text = match kind.as_str() {
            "application/json" => serde_json::from_slice(&body)
                .ok()
                .and_then(|json| in_json(&json))
                .unwrap_or_default(),
            "text/plain" => String::from_utf8_lossy(&body).into_owned(),
            _ => String::new(),
        };
        self.redact(text.trim().lines().next().unwrap_or(""))
    }

    /// The answer is none that `server` gives.
    pub fn not_a_primary(&self, answer: &Answer, server: &str) -> Error {
        let (peer, status) = (self.peer(), answer.status());
        let what = match answer.content_type() {
            "" => "without a content type".to_owned(),
            kind => format!("with {}", self.redact(&kind.chars().take(60).collect::<String>())),
        };
        let text = if (300..400).contains(&status) {
            let to = match answer.redirects_to() {
                Some(origin) => format!("to {origin}"),
                None => "elsewhere".to_owned(),
            };
            format!("the server at {peer} redirects {to} ({status}); use the final URL")
        } else {
            format!(
                "the server at {peer} answered {status} {what}; \
                 this does not look like {server}: check the URL"
            )
        };
        Error::new(Kind::Protocol, text)
    }
}

/// `{"error": "..."}`, `{"error": {"message": "..."}}` or `{"message": "..."}`.
fn in_json(json: &serde_json::Value) -> Option<String> {
    let error = json.get("error");
    let text = error
        .and_then(|error| error.as_str().or_else(|| error.get("message")?.as_str()))
        .or_else(|| json.get("message")?.as_str());
    text.map(str::to_owned)
}
