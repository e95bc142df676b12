//! Random bytes, from the system.

use crate::config::Problem;
use ring::rand::{SecureRandom, SystemRandom};

/// So many fresh bytes.
///
/// # Errors
/// When the system has none.
pub fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Problem("the system gives no random numbers".to_owned()))?;
    Ok(bytes)
}
