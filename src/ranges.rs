//! Sets of numbers kept as ranges: acknowledged packets, received bytes.

use std::ops::Range;

/// A set of `u64`, stored as sorted, disjoint, non-touching half-open ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet(Vec<Range<u64>>);

impl RangeSet {
    /// The empty set.
    pub const fn new() -> RangeSet {
        RangeSet(Vec::new())
    }

    /// True when nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many separate ranges it takes.
    pub fn range_count(&self) -> usize {
        self.0.len()
    }

    /// Adds a range; returns how many of its numbers are new.
    pub fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        // The common case in both uses: the newest number follows or extends the last range.
        if let Some(last) = self.0.last_mut()
            && range.start == last.end
        {
            last.end = range.end;
            return range.end - range.start;
        }
        let first = self.0.partition_point(|r| r.end < range.start);
        let after = self.0.partition_point(|r| r.start <= range.end);
        let mut merged = range.clone();
        let mut overlap = 0;
        for r in &self.0[first..after] {
            overlap += r.end.min(range.end).saturating_sub(r.start.max(range.start));
            merged.start = merged.start.min(r.start);
            merged.end = merged.end.max(r.end);
        }
        self.0.splice(first..after, [merged]);
        range.end - range.start - overlap
    }

    /// Is this number in it?
    pub fn contains(&self, number: u64) -> bool {
        let at = self.0.partition_point(|r| r.end <= number);
        self.0.get(at).is_some_and(|r| r.contains(&number))
    }

    /// Is every number of the range in it?
    pub fn contains_all(&self, range: Range<u64>) -> bool {
        let at = self.0.partition_point(|r| r.end <= range.start);
        range.is_empty() || self.0.get(at).is_some_and(|r| r.start <= range.start && range.end <= r.end)
    }

    /// The parts of `range` that are not in the set.
    pub fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut from = range.start;
        let first = self.0.partition_point(|r| r.end <= range.start);
        let mut held = self.0[first..].iter();
        std::iter::from_fn(move || {
            while from < range.end {
                let Some(r) = held.next().filter(|r| r.start < range.end) else {
                    let gap = from..range.end;
                    from = range.end;
                    return Some(gap);
                };
                let gap = from..r.start;
                from = from.max(r.end);
                if !gap.is_empty() {
                    return Some(gap);
                }
            }
            None
        })
    }

    /// Takes out everything below `number`.
    pub fn remove_below(&mut self, number: u64) {
        let gone = self.0.partition_point(|r| r.end <= number);
        self.0.drain(..gone);
        if let Some(first) = self.0.first_mut() {
            first.start = first.start.max(number);
        }
    }

    /// Takes out the lowest range.
    pub fn pop_lowest(&mut self) -> Option<Range<u64>> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// The largest number in it.
    pub fn largest(&self) -> Option<u64> {
        self.0.last().map(|r| r.end - 1)
    }

    /// The ranges, lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Range<u64>> + ExactSizeIterator {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set(ops in proptest::collection::vec((0u64..60, 0u64..12, any::<bool>()), 0..60)) {
            let mut ours = RangeSet::new();
            let mut plain = BTreeSet::new();
            for (start, len, trim) in ops {
                if trim && start % 7 == 0 {
                    ours.remove_below(start);
                    plain.retain(|n| *n >= start);
                    continue;
                }
                let new = (start..start + len).filter(|n| plain.insert(*n)).count() as u64;
                prop_assert_eq!(ours.insert(start..start + len), new);
            }
            prop_assert!(ours.iter().zip(ours.iter().skip(1)).all(|(a, b)| a.end < b.start));
            prop_assert!(ours.iter().all(|r| !r.is_empty()));
            for n in 0..80 {
                prop_assert_eq!(ours.contains(n), plain.contains(&n));
            }
            let gaps: Vec<u64> = ours.gaps(3..70).flatten().collect();
            let expected: Vec<u64> = (3..70).filter(|n| !plain.contains(n)).collect();
            prop_assert_eq!(gaps, expected);
            prop_assert_eq!(ours.largest(), plain.last().copied());
        }
    }
}
