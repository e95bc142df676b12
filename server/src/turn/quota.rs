//! What one user may have of the relay, over all his addresses: allocations, and bytes a second.

use crate::limits::{Bucket, Rate};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// All users who have something now.
#[derive(Debug)]
pub struct Quotas {
    /// Allocations in all, and of one user.
    most: usize,
    most_of_user: usize,
    rate: Rate,
    users: Mutex<Users>,
}

#[derive(Debug, Default)]
struct Users {
    all: usize,
    users: HashMap<String, (usize, Arc<Mutex<Bucket>>)>,
}

/// One allocation's part of a user's quota; given back when this is dropped.
#[derive(Debug)]
pub struct Share {
    quotas: Arc<Quotas>,
    user: String,
    bucket: Arc<Mutex<Bucket>>,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// The server's.
    Server,
    /// The user's.
    User,
}

impl Quotas {
    /// So many allocations in all and of each user, and so many bytes a second of each.
    pub fn new(most: usize, most_of_user: usize, bytes_per_second: u64) -> Arc<Quotas> {
        let rate = Rate::new(bytes_per_second, 1);
        Arc::new(Quotas { most, most_of_user, rate, users: Mutex::default() })
    }

    /// Takes one allocation of a user's.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn take(self: &Arc<Quotas>, user: &str, now: Instant) -> Result<Share, Exhausted> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.all >= self.most {
            return Err(Exhausted::Server);
        }
        let fresh = || (0, Arc::new(Mutex::new(Bucket::new(self.rate, now))));
        let (count, bucket) = users.users.entry(user.to_owned()).or_insert_with(fresh);
        if *count >= self.most_of_user {
            return Err(Exhausted::User);
        }
        *count += 1;
        let bucket = bucket.clone();
        users.all += 1;
        Ok(Share { quotas: self.clone(), user: user.to_owned(), bucket })
    }
}

impl Share {
    /// May this user relay so many bytes more?
    pub fn spend(&self, bytes: usize, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(self.quotas.rate, bytes as f64, now)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut users = self.quotas.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.all -= 1;
        if let Some((count, _)) = users.users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                users.users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn allocations_are_counted_by_user_and_in_all_and_given_back() {
        let (quotas, now) = (Quotas::new(3, 2, 1_000), Instant::now());
        let held = ["a", "a"].map(|user| quotas.take(user, now).expect("a share"));
        assert_eq!(quotas.take("a", now).err(), Some(Exhausted::User));
        let other = quotas.take("b", now).expect("a share");
        assert_eq!(quotas.take("c", now).err(), Some(Exhausted::Server));
        drop(held);
        assert!(quotas.take("a", now).is_ok());
        drop(other);
        assert_eq!(quotas.users.lock().map(|users| (users.all, users.users.len())).ok(), Some((0, 0)));
    }

    #[test]
    fn all_allocations_of_a_user_draw_on_one_rate() {
        let (quotas, now) = (Quotas::new(9, 9, 1_000), Instant::now());
        let (one, two) = (quotas.take("a", now).expect("a share"), quotas.take("a", now).expect("a share"));
        let other = quotas.take("b", now).expect("a share");
        assert!(one.spend(600, now) && !two.spend(600, now) && other.spend(600, now));
        assert!(two.spend(600, now + Duration::from_millis(300)));
    }
}
