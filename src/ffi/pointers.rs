//! Reading what the caller points at and writing where the caller points to.

use super::answer::Refusal;
use std::ffi::{CStr, c_char};
use std::mem::size_of;
use std::ptr;

/// The text at `text`.
///
/// # Safety
/// `text` is NULL or a NUL-terminated string that lives, unchanged, as long as the result is used.
pub unsafe fn read_text<'a>(text: *const c_char, what: &str) -> Result<&'a str, Refusal> {
    if text.is_null() {
        return Err(Refusal::param(format!("the {what} is NULL")));
    }
    // SAFETY: not NULL, so NUL-terminated and alive by this function's contract.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| Refusal::param(format!("the {what} is not UTF-8")))
}

/// The `size` bytes at `data`; NULL is fine when there are none.
///
/// # Safety
/// `data` is NULL or points to `size` bytes that live, unchanged, as long as the result is used.
pub unsafe fn read_bytes<'a>(data: *const u8, size: u32, what: &str) -> Result<&'a [u8], Refusal> {
    if size == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Refusal::param(format!("the {what} is NULL but {size} bytes long")));
    }
    // SAFETY: not NULL, `size` bytes by this function's contract; a u32 never exceeds isize::MAX where it
    // matters, because the caller could not have made such an object on a 32-bit machine.
    Ok(unsafe { std::slice::from_raw_parts(data, size as usize) })
}

/// Writes `text` and its NUL if they fit into `size` bytes; else "" if that fits. True when it was written.
///
/// # Safety
/// `out` points to `size` writable bytes, or `size` is 0.
pub unsafe fn write_text(out: *mut c_char, size: u32, text: &str) -> bool {
    let fits = text.len() < size as usize;
    let text = if fits { text.as_bytes() } else { b"" };
    if size > 0 {
        // SAFETY: `text.len() < size`, so text and NUL lie within what the caller gave; Rust's own text
        // cannot overlap the caller's buffer.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr(), out.cast(), text.len());
            out.add(text.len()).write(0);
        }
    }
    fits
}

/// The longest beginning of `text` that takes at most `max` bytes and cuts no character.
pub fn fitting(text: &str, max: usize) -> &[u8] {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text.as_bytes()[..end]
}

/// `text` as an array of C: cut between characters if it is too long, always NUL-terminated, zeros after it.
pub fn text_array<const N: usize>(text: &str) -> [c_char; N] {
    let kept = fitting(text, N - 1);
    let mut array = [0; N];
    for (to, from) in array.iter_mut().zip(kept) {
        *to = *from as c_char;
    }
    array
}

/// A structure that starts with `uint32_t struct_size` and has no padding.
///
/// # Safety
/// `Self` is `repr(C)`, its first field is a `u32`, it has no padding, and every bit pattern is fine.
pub unsafe trait OutStruct: Copy {
    /// Its size in the first released header; a caller that names less is not using that structure.
    const FIRST_SIZE: usize;
    /// What the C header calls it.
    const NAME: &'static str;
}

/// What the caller's `struct_size` allows to be written, or why nothing is.
///
/// # Safety
/// `out` is NULL or points to at least a readable `u32`.
pub unsafe fn check_struct<T: OutStruct>(out: *const T) -> Result<u32, Refusal> {
    if out.is_null() {
        return Err(Refusal::param(format!("the {} is NULL", T::NAME)));
    }
    // SAFETY: not NULL, and the first field is a u32 by the trait's contract; the caller may have misaligned it.
    let size = unsafe { out.cast::<u32>().read_unaligned() };
    if (size as usize) < T::FIRST_SIZE {
        let (name, first) = (T::NAME, T::FIRST_SIZE);
        return Err(Refusal::param(format!(
            "struct_size of the {name} is {size}, below {first}: set it to sizeof({name}), or use its INIT macro"
        )));
    }
    Ok(size)
}

/// Writes `value`, no more of it than the caller's structure has, and leaves `struct_size` as it was.
/// What a newer caller's structure has beyond ours is not touched: this library knows nothing of it.
///
/// # Safety
/// `out` is NULL or points to as many writable bytes as its own `struct_size` says.
pub unsafe fn write_struct<T: OutStruct>(out: *mut T, value: &T) -> Result<(), Refusal> {
    // SAFETY: by this function's contract.
    let size = unsafe { check_struct(out.cast_const()) }?;
    let kept = (size as usize).min(size_of::<T>()) - size_of::<u32>();
    // SAFETY: `kept` more bytes after the u32 lie within both structures; T has no padding, so all are
    // initialised; a reference to `value` cannot overlap what the caller owns.
    unsafe {
        let from = ptr::from_ref(value).cast::<u8>().add(size_of::<u32>());
        ptr::copy_nonoverlapping(from, out.cast::<u8>().add(size_of::<u32>()), kept);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Pair {
        struct_size: u32,
        a: u32,
        b: u32,
        later: u32,
    }

    // SAFETY: repr(C), four u32.
    unsafe impl OutStruct for Pair {
        const FIRST_SIZE: usize = 12;
        const NAME: &'static str = "pair";
    }

    const FILLED: Pair = Pair { struct_size: 99, a: 1, b: 2, later: 3 };

    fn written(struct_size: u32) -> (bool, Pair) {
        let mut out = Pair { struct_size, a: 7, b: 7, later: 7 };
        // SAFETY: `out` is as large as any struct_size used here says, or larger.
        let ok = unsafe { write_struct(&mut out, &FILLED) }.is_ok();
        (ok, out)
    }

    #[test]
    fn no_more_is_written_than_the_caller_has_room_for() {
        assert_eq!(written(16), (true, Pair { struct_size: 16, ..FILLED }));
        assert_eq!(written(12), (true, Pair { struct_size: 12, a: 1, b: 2, later: 7 }));
    }

    #[test]
    fn below_the_first_size_nothing_is_written() {
        for size in [0, 4, 11] {
            assert_eq!(written(size), (false, Pair { struct_size: size, a: 7, b: 7, later: 7 }));
        }
    }

    #[test]
    fn a_newer_callers_extra_fields_stay_as_they_were() {
        let mut out = [7u32; 6];
        out[0] = 24;
        // SAFETY: the array has the 24 bytes its first word names.
        unsafe { write_struct(out.as_mut_ptr().cast::<Pair>(), &FILLED) }.expect("it is large enough");
        assert_eq!(out, [24, 1, 2, 3, 7, 7]);
    }

    #[test]
    fn text_is_cut_between_characters_and_zero_filled() {
        assert_eq!(text_array::<4>("aüü"), [b'a' as c_char, 0xC3u8 as c_char, 0xBCu8 as c_char, 0]);
        assert_eq!(text_array::<3>("aü"), [b'a' as c_char, 0, 0]);
        assert_eq!(text_array::<4>(""), [0; 4]);
    }

    #[test]
    fn text_that_does_not_fit_leaves_an_empty_string() {
        let mut out = [7 as c_char; 4];
        // SAFETY: four bytes are there.
        unsafe {
            assert!(write_text(out.as_mut_ptr(), 4, "abc"));
            assert_eq!(out, [97, 98, 99, 0]);
            assert!(!write_text(out.as_mut_ptr(), 3, "abc"));
            assert_eq!(out, [0, 98, 99, 0]);
            assert!(!write_text(ptr::null_mut(), 0, ""));
        }
    }
}
