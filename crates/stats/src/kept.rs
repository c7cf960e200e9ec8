//! Totals as numbers, which is the form in which they are kept: all in one order, to whose end new
//! ones are added, without the zeros at the end.

use crate::totals::{
    Batches, Count, Deltas, Level, Notifications, Push, Requests, Sources, Totals, Traffic,
};

impl Totals {
    pub fn to_numbers(mut self) -> Vec<u64> {
        let mut numbers = Vec::new();
        self.each(&mut |number| numbers.push(*number));
        let used = numbers.iter().rposition(|number| *number != 0).map_or(0, |last| last + 1);
        numbers.truncate(used);
        numbers
    }

    /// None if there are more numbers than this version knows.
    pub fn from_numbers(numbers: &[u64]) -> Option<Self> {
        let mut totals = Self::default();
        let mut rest = numbers.iter();
        totals.each(&mut |number| *number = rest.next().copied().unwrap_or_default());
        rest.next().is_none().then_some(totals)
    }

    fn each(&mut self, visit: &mut impl FnMut(&mut u64)) {
        let Self {
            inbound,
            outbound,
            persisted,
            connections,
            channels,
            api_requests,
            token_requests,
            push_requests,
            deltas: Deltas { succeeded: made, skipped, failed: not_smaller },
            batching,
            conflation,
            push,
            discarded,
        } = self;
        for Sources { realtime, rest } in [inbound, outbound] {
            traffic(realtime, visit);
            traffic(rest, visit);
        }
        traffic(persisted, visit);
        for Level { peak, min, mean, opened, refused, minutes } in [connections, channels] {
            let [mut bits, mut count] = [mean.to_bits(), u64::from(*minutes)];
            [peak, min, &mut bits, opened, refused, &mut count].into_iter().for_each(&mut *visit);
            *mean = f64::from_bits(bits);
            *minutes = u32::try_from(count).unwrap_or(u32::MAX);
        }
        for Requests { succeeded, failed, refused } in [api_requests, token_requests, push_requests]
        {
            [succeeded, failed, refused].into_iter().for_each(&mut *visit);
        }
        [made, skipped, not_smaller].into_iter().for_each(&mut *visit);
        for Batches { messages, batches } in [batching, conflation] {
            [messages, batches].into_iter().for_each(&mut *visit);
        }
        let Push { channel_messages, direct_publishes, delivered, refused, refused_finally } = push;
        [channel_messages, direct_publishes].into_iter().for_each(&mut *visit);
        for Notifications { apns, fcm, web, total } in [delivered, refused, refused_finally] {
            [apns, fcm, web, total].into_iter().for_each(&mut *visit);
        }
        visit(discarded);
    }
}

fn traffic(traffic: &mut Traffic, visit: &mut impl FnMut(&mut u64)) {
    let Traffic { messages, presence, objects, annotations } = traffic;
    for Count { count, data, failed, refused } in [messages, presence, objects, annotations] {
        [count, data, failed, refused].into_iter().for_each(&mut *visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_come_back_as_they_were_and_numbers_that_nobody_knows_do_not() {
        let mut next = 0;
        let mut totals = Totals::default();
        totals.each(&mut |number| {
            next += 1;
            *number = next;
        });
        assert_eq!(Totals::from_numbers(&totals.to_numbers()), Some(totals));
        assert_eq!(totals.persisted.messages.count, 65);
        assert_eq!(totals.discarded, next);
        let mut more = totals.to_numbers();
        more.push(1);
        assert_eq!(Totals::from_numbers(&more), None);
        assert!(Totals::default().to_numbers().is_empty());
    }
}
