//! GETMETADATA and SETMETADATA (RFC 5464 §4).

/// How far below the named entries GETMETADATA looks (RFC 5464 §4.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    #[default]
    Zero,
    One,
    Infinity,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetMetadata {
    /// `None`: the server as a whole.
    pub mailbox: Option<String>,
    pub depth: Depth,
    /// Larger values are not told (RFC 5464 §4.2.1).
    pub max_size: Option<u64>,
    /// Never empty; names are well formed.
    pub entries: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetMetadata {
    /// `None`: the server as a whole.
    pub mailbox: Option<String>,
    /// Never empty. NIL takes an entry away.
    pub values: Vec<(String, Option<Vec<u8>>)>,
}
