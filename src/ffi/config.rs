//! `snm_config`: values gathered before an endpoint is made.

use super::answer::{Refusal, quiet, result};
use super::codes::snm_result;
use super::handles::Table;
use super::keys::snm_config_key;
use super::pointers::{read_bytes, read_text};
use crate::endpoint::config::{Config, Scope, Value};
use std::ffi::c_char;
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::{Arc, Mutex, PoisonError};

/// The settings an endpoint is created with. A handle: nothing is behind the pointer.
pub struct snm_config(());

static CONFIGS: Table<Mutex<Config>> = Table::new(9, "snm_config");

/// The values gathered under a handle, as they stand.
pub fn snapshot(config: *const snm_config) -> Result<Config, Refusal> {
    Ok(CONFIGS.find(config)?.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

fn set(config: *const snm_config, key: snm_config_key, value: Value<'_>) -> Result<(), Refusal> {
    let config = CONFIGS.find(config)?;
    config.lock().unwrap_or_else(PoisonError::into_inner).set(key, value, Scope::Create)?;
    Ok(())
}

/// Makes a set of settings, all at their defaults. Only LOCAL_STEAM_ID has none and must be set.
///
/// Yours until snm_config_destroy; one may serve for any number of endpoints. NULL when there are no more
/// handles. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn snm_config_create() -> *mut snm_config {
    let made = || Ok(without_provenance_mut(CONFIGS.insert(Arc::new(Mutex::new(Config::new())))?));
    super::answer::call(|_| null_mut(), made)
}

/// Frees a set of settings. Endpoints made from it are not touched. NULL or a destroyed one: nothing happens.
#[unsafe(no_mangle)]
pub extern "C" fn snm_config_destroy(config: *mut snm_config) {
    if !config.is_null() {
        quiet(|| CONFIGS.take(config).map(drop));
    }
}

/// Sets a key of type int.
///
/// SNM_RESULT_OK; INVALID_PARAM (unknown key, other type, out of range: snm_last_error() names the key, its
/// range and what was given); INVALID_STATE (this version lacks the feature, or the handle is dead). A
/// refused value changes nothing. Keys that contradict each other are found by snm_endpoint_create.
#[unsafe(no_mangle)]
pub extern "C" fn snm_config_set_int(config: *mut snm_config, key: snm_config_key, value: i64) -> snm_result {
    result(|| set(config, key, Value::Int(value)))
}

/// Sets a key of type float. Answers as snm_config_set_int.
#[unsafe(no_mangle)]
pub extern "C" fn snm_config_set_float(config: *mut snm_config, key: snm_config_key, value: f64) -> snm_result {
    result(|| set(config, key, Value::Float(value)))
}

/// Sets a key of type string: UTF-8, NUL-terminated, copied. Answers as snm_config_set_int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_config_set_string(
    config: *mut snm_config,
    key: snm_config_key,
    value: *const c_char,
) -> snm_result {
    // SAFETY: the header asks for a NUL-terminated string or NULL.
    result(|| set(config, key, Value::String(unsafe { read_text(value, "value") }?)))
}

/// Sets a key of type bytes: size bytes at value, copied. Answers as snm_config_set_int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_config_set_bytes(
    config: *mut snm_config,
    key: snm_config_key,
    value: *const u8,
    size: u32,
) -> snm_result {
    // SAFETY: the header asks for `size` bytes or NULL.
    result(|| set(config, key, Value::Bytes(unsafe { read_bytes(value, size, "value") }?)))
}
