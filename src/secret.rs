//! A text that nobody is to find in memory afterwards: a token, a key.
//!
//! What holds one wipes it when it is dropped, and does not show it. Copies in
//! memory that is not ours (SQL texts, bound values, the environment) stay as
//! long as their owner keeps them.

use std::fmt;
use std::ops::Deref;

use zeroize::Zeroizing;

#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A text and a secret behind it. One allocation: a string that grows
    /// leaves what it held before.
    pub fn after(text: &str, secret: &str) -> Secret {
        let mut whole = String::with_capacity(text.len() + secret.len());
        whole.push_str(text);
        whole.push_str(secret);
        Secret::from(whole)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }
}

impl Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("...")
    }
}
