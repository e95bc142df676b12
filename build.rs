//! Gives the shared library its soname, which carries the ABI's major version, and keeps every symbol
//! that is not `snm_*` inside it.

use std::env;
use std::path::Path;

/// Raised when a released function or structure changes incompatibly; never by additions.
const ABI_MAJOR: u32 = 1;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=steamnetmsg.map");
    let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    match os.as_str() {
        "linux" | "freebsd" | "netbsd" | "dragonfly" => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libsteamnetmsg.so.{ABI_MAJOR}");
            // lld joins this script with the one the compiler passes; GNU ld takes only one.
            if os == "linux" && env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
                let map = Path::new(&root).join("steamnetmsg.map");
                println!("cargo:rustc-cdylib-link-arg=-Wl,--version-script={}", map.display());
            }
        }
        // Android loads libraries by file name, without a version.
        "android" => println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libsteamnetmsg.so"),
        "macos" | "ios" => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libsteamnetmsg.{ABI_MAJOR}.dylib");
        }
        _ => {}
    }
}
