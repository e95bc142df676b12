//! A bad line between two processes: the `linksim` program.
//!
//! [`line`] decides what becomes of a datagram, in virtual time and without a socket; [`proxy`] has the sockets and
//! the clock and does what it says.

pub mod line;
pub mod proxy;
