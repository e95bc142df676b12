//! How fast the library is, beside others, on the same work.
//!
//! Workloads are written once over [`transport::Transport`] and know no library; transports know no workload.
//! Both ends of a workload are separate processes (`node`), talking directly or through `linksim`; `bench` starts
//! them, gathers what they print and makes tables and pictures of it.

pub mod clock;
pub mod lab;
pub mod link;
pub mod process;
pub mod socket;
pub mod transport;
pub mod workloads;
