//! Errors.

use std::net::SocketAddr;

/// A result with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why a server cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened at.
    #[error("{address} cannot be listened at: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The reason of the system.
        source: std::io::Error,
    },
    /// The system refuses a thread, a timer or the socket.
    #[error("the server cannot be started: {0}")]
    Start(#[source] std::io::Error),
    /// The classifier cannot be used: it does not fit the images, or the device fails.
    #[error(transparent)]
    Classifier(#[from] train::Error),
}

impl Error {
    /// Whether another program listens at the address.
    pub fn is_address_in_use(&self) -> bool {
        matches!(self, Self::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse)
    }
}
