//! A key pair for `sqld --auth-jwt-key-file` and tokens signed with it, made
//! once for these tests and good for nothing else.

/// The public key (Ed25519, URL-safe base64), as sqld reads it from a file.
pub const PUBLIC_KEY: &str = "-QxAlKStm6U4RrNDujfCkyjGU3xfDiTVkVVSPcF70Wk";
/// `{"a":"rw"}`
pub const READ_WRITE: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJhIjoicncifQ.g8AMqVCP104iC47r30y19gcb4EFYWCbhioGxSAiDHOBzKEt_DNnrtN-P2pW1MxNQOIvAJ-5Hg2bzwUF0gleIAw";
/// `{"a":"ro"}`
pub const READ_ONLY: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJhIjoicm8ifQ.XDF3qda50grU-H8824HJBFEdNWS13ECl2M7Za-r8vd2ROL7tqRup0uk7oUbWD1a9MaXMIoIbOGuL8M1wjapICA";
/// `{"a":"rw","exp":1577836800}`: expired in 2020.
pub const EXPIRED: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJhIjoicnciLCJleHAiOjE1Nzc4MzY4MDB9.SIQwKfmcrQbOY0DU_poefKvcs1EVYGGCuJBeLX5sWDaAPFmjBbi3FOlFUwOPsCw_Nmqmdxkw8Z17v1beyu8xBw";
/// `{"a":"rw"}`, signed with another key.
pub const FORGED: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJhIjoicncifQ.mRn9dIMLPLJbahOwmAqvpebWshjLBBH2xk_4svsVsx6ITkw5nkdPcIT22oAY5DauqRuHjsHEDRpD008Q6QvSAQ";

/// An environment that says nothing of primaries, tokens and proxies, so that no
/// test finds the user's own: an empty variable is none.
pub const NONE: [(&str, &str); 7] = [
    ("no_proxy", "*"),
    ("REPLICA_TOKEN", ""),
    ("REPLICA_TOKEN_FILE", ""),
    ("REPLICA_URL", ""),
    ("REPLICA_HOSTS", ""),
    ("TURSO_AUTH_TOKEN", ""),
    ("TURSO_DATABASE_URL", ""),
];
