//! What is known of a message besides its envelope when it is taken.

use policy::Authorship;
use storage::Folder;

/// How a message came.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Names the message in the log, in its Received field and in the reply.
    pub id: String,
    /// Where it is filed for local recipients.
    pub folder: Folder,
    /// What vouches for its author.
    pub authorship: Authorship,
}
