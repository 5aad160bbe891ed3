//! How many messages RabbitMQ gives out before one of them is acknowledged. Pure.
//!
//! RabbitMQ bounds their number only, and messages may be of any size: **the larger they are, the fewer are asked for**. It begins with few, because
//! nobody knows what is in a queue, and whoever dies of the first thousand messages would die of them again after each start.

use crate::broker::Prefetch;

/// With so few it begins, and fewer are never asked for: a few that fail for a while must not hold up the others.
const FEW: u16 = 64;

/// Messages that must have come before anything is changed for the first time.
const AT_FIRST: u32 = 16;

/// And after that: a change costs a round trip.
const BETWEEN: u32 = 256;

/// The share of the newest message in the mean size: one of so many.
const SHARE: usize = 16;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Window {
    limit: Prefetch,
    /// What is asked for now.
    now: u16,
    /// The mean size of the messages, the newest ones above all.
    mean: usize,
    /// Messages to come before the next change.
    patience: u32,
}

impl Window {
    /// Nothing has come yet.
    pub(super) fn new(limit: Prefetch) -> Self {
        let now = if limit.bytes == usize::MAX { limit.messages } else { limit.messages.min(FEW) };
        Self { limit, now, mean: 0, patience: AT_FIRST }
    }

    /// What is asked for now.
    pub(super) fn now(&self) -> u16 {
        self.now
    }

    /// A message of so many bytes has come: how many are to be asked for from now on, when that changes.
    pub(super) fn arrived(&mut self, bytes: usize) -> Option<u16> {
        let share = |bytes: usize| bytes.div_ceil(SHARE);
        self.mean = if self.mean == 0 { bytes.max(1) } else { self.mean - self.mean / SHARE + share(bytes) };
        self.patience = self.patience.saturating_sub(1);
        let wanted = self.wanted();
        // Small changes are not worth their round trip.
        let is_more =
            wanted > self.now && (wanted == self.limit.messages || wanted >= self.now.saturating_mul(2));
        let is_less = wanted < self.now && wanted <= self.now / 2;
        if self.patience > 0 || !(is_more || is_less) {
            return None;
        }
        (self.now, self.patience) = (wanted, BETWEEN);
        Some(wanted)
    }

    /// As many as fit, of that mean size.
    fn wanted(&self) -> u16 {
        let most = self.limit.messages;
        let fit = u16::try_from(self.limit.bytes / self.mean.max(1)).unwrap_or(u16::MAX);
        fit.clamp(most.min(FEW), most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn window(messages: u16) -> Window {
        Window::new(Prefetch { messages, bytes: 16 * MIB })
    }

    /// What is asked for after so many messages of a size, and how often it changed.
    fn after(window: &mut Window, count: u32, bytes: usize) -> (u16, usize) {
        let changes = (0..count).filter_map(|_| window.arrived(bytes)).count();
        (window.now(), changes)
    }

    #[test]
    fn few_are_asked_for_at_first_and_all_once_they_are_known_to_be_small() {
        let mut window = window(1_000);
        assert_eq!(window.now(), 64);
        assert_eq!(after(&mut window, 15, 1_000), (64, 0));
        assert_eq!(after(&mut window, 1, 1_000), (1_000, 1));
        assert_eq!(after(&mut window, 10_000, 1_000), (1_000, 0));
    }

    #[test]
    fn of_large_messages_fewer_are_asked_for_and_never_less_than_few() {
        let mut window = window(1_000);
        assert_eq!(after(&mut window, 1_000, 100_000), (167, 1));
        // While the mean goes up it is changed once: from there to 64 is a small change.
        assert_eq!(after(&mut window, 1_000, MIB), (78, 1));
        assert_eq!(after(&mut window, 1_000, 16 * MIB), (78, 0));
        assert_eq!(after(&mut window, 1_000, 1), (1_000, 2));
        assert_eq!(after(&mut window, 1_000, 200_000_000), (64, 1));
    }

    #[test]
    fn what_was_asked_for_in_small_numbers_stays_so() {
        // 0 is no limit, as AMQP has it.
        for messages in [0, 1, 10, 64] {
            let mut window = window(messages);
            assert_eq!(after(&mut window, 1_000, MIB), (messages, 0));
            assert_eq!(after(&mut window, 1_000, 1), (messages, 0));
        }
    }

    #[test]
    fn where_bytes_do_not_count_all_are_asked_for_at_once() {
        let mut window = Window::new(Prefetch { messages: 1_000, bytes: usize::MAX });
        assert_eq!(window.now(), 1_000);
        assert_eq!(after(&mut window, 1_000, MIB), (1_000, 0));
    }

    #[test]
    fn sizes_that_go_up_and_down_change_it_seldom() {
        let mut window = window(1_000);
        let sizes = (0..10_000).map(|n| if n % 2 == 0 { 100 } else { 32_000 });
        let changes = sizes.filter_map(|bytes| window.arrived(bytes)).count();
        assert!(changes <= 2, "{changes} changes");
    }
}
