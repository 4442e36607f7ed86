//! Floor 1, the wire: TLS on both ends, HTTP and WebSocket as a client, certificates for
//! development networks. Knows nothing of FHIR, nor of who may do what.

pub mod http;
#[cfg(feature = "bpe")]
pub mod mail;
pub mod pem;
pub mod pki;
#[cfg(test)]
#[cfg(feature = "bpe")]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod tls;
#[cfg(feature = "bpe")]
pub mod websocket;
