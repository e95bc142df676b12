//! Makes a failing script short: leaves steps out as long as the same law is broken.

use crate::Failure;
use crate::script::Step;

/// The shortest script that leaving steps out leads to, with its failure.
pub fn shrink(
    mut steps: Vec<Step>,
    mut failure: Failure,
    attempt: impl Fn(&[Step]) -> Option<Failure>,
) -> (Vec<Step>, Failure) {
    let mut size = steps.len().div_ceil(2).max(1);
    loop {
        let mut start = 0;
        let before = steps.len();
        while start < steps.len() {
            let end = (start + size).min(steps.len());
            let rest: Vec<Step> = steps[..start].iter().chain(&steps[end..]).cloned().collect();
            match attempt(&rest) {
                Some(same) if same.law == failure.law => (steps, failure) = (rest, same),
                _ => start = end,
            }
        }
        if size > 1 {
            size = size.div_ceil(2);
        } else if steps.len() == before {
            return (steps, failure);
        }
    }
}
