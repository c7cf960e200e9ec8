//! Devices, subscriptions and jobs together: who is to be notified, and what a delivery says about a
//! device.

use std::collections::BTreeSet;

use types::error::NOT_FOUND;
use types::{ChannelName, DeviceId, ErrorInfo};

use crate::queue::{Job, JobId, Lane, Queue};
use crate::{
    Device, DeviceFilter, Devices, Payload, Recipient, State, Subscriber, Subscription,
    SubscriptionFilter, Subscriptions, Target,
};

#[derive(Debug, Default)]
pub struct Push {
    pub devices: Devices,
    pub subscriptions: Subscriptions,
    queue: Queue,
}

/// A notification on its way to one address.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub job: JobId,
    pub recipient: Recipient,
    pub payload: Payload,
}

/// Why a notification was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub error: ErrorInfo,
    pub lasting: Lasting,
}

/// What a failure says about the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// The next notification may get through.
    No,
    /// The address is void.
    Yes,
}

/// What the end of a job leads to.
#[derive(Debug, PartialEq)]
pub struct Settled {
    /// The registered device that it was for, if its state is another one now.
    pub device: Option<Device>,
    /// What is to be delivered next.
    pub next: Option<Delivery>,
}

impl Push {
    /// Removes devices with their subscriptions, and says what that was; their jobs come to nothing.
    pub fn remove_devices(&mut self, filter: &DeviceFilter) -> (Vec<DeviceId>, Vec<Subscription>) {
        let ids: Vec<DeviceId> =
            self.devices.selected(filter).map(|device| device.id.clone()).collect();
        let mut ended = Vec::new();
        for id in &ids {
            let subscribers = vec![Subscriber::Device(id.clone())];
            let filter = SubscriptionFilter { channel: None, subscribers };
            ended.append(&mut self.subscriptions.remove(&filter));
            self.devices.remove(id);
        }
        (ids, ended)
    }

    /// The devices that messages of the channel are pushed to, each once.
    pub fn subscribed(&self, channel: &ChannelName) -> Vec<Target> {
        let mut devices = BTreeSet::new();
        for subscriber in self.subscriptions.of_channel(channel) {
            match subscriber {
                Subscriber::Device(id) => drop(devices.insert(id)),
                Subscriber::Client(client) => devices.extend(self.devices.of_client(client)),
            }
        }
        devices.into_iter().cloned().map(Target::Device).collect()
    }

    /// Single devices and addresses instead of clients; 40400 if a device is not registered.
    pub fn resolve(&self, target: Target) -> Result<Vec<Target>, ErrorInfo> {
        match target {
            Target::Client(client) => {
                Ok(self.devices.of_client(&client).cloned().map(Target::Device).collect())
            }
            Target::Device(id) if self.devices.get(&id).is_none() => {
                Err(NOT_FOUND.with("no such device"))
            }
            Target::Device(_) | Target::Address(_) => Ok(vec![target]),
        }
    }

    /// Takes a job for a device or an address, and says what is to be delivered now. A client is
    /// resolved first: it has no place of its own in the queue.
    pub fn start(
        &mut self,
        id: JobId,
        target: &Target,
        payload: Payload,
    ) -> Result<Option<Delivery>, ErrorInfo> {
        let (lane, recipient) = match target {
            Target::Device(device) => (Lane::Device(device.clone()), None),
            Target::Address(recipient) => {
                (Lane::Address(recipient.address()), Some(recipient.clone()))
            }
            Target::Client(_) => return Ok(None),
        };
        let started = self.queue.start(lane.clone(), Job { id, payload, recipient })?;
        Ok(started.and_then(|job| self.next(&lane, job)))
    }

    /// What became of a delivery; none if it is not on its way. It says something about the device
    /// only as long as that has the same address.
    pub fn settle(&mut self, delivery: &Delivery, outcome: Result<(), Failure>) -> Option<Settled> {
        let (lane, next) = self.queue.finish(delivery.job)?;
        let device = match &lane {
            Lane::Device(id) => Some(id),
            Lane::Address(_) => None,
        };
        let device = device.filter(|id| {
            self.devices.get(id).is_some_and(|device| device.recipient == delivery.recipient)
        });
        let device = device.and_then(|id| {
            let (state, error) = match outcome {
                Ok(()) => (State::Active, None),
                Err(Failure { error, lasting: Lasting::No }) => (State::Failing, Some(error)),
                Err(Failure { error, lasting: Lasting::Yes }) => (State::Failed, Some(error)),
            };
            self.devices.set_state(id, state, error).cloned()
        });
        Some(Settled { device, next: next.and_then(|job| self.next(&lane, job)) })
    }

    /// The first of the lane's jobs, from `job` on, that has somewhere to go.
    fn next(&mut self, lane: &Lane, mut job: Job) -> Option<Delivery> {
        loop {
            let Job { id, payload, recipient } = job;
            let recipient = match lane {
                Lane::Address(_) => recipient,
                Lane::Device(id) => self
                    .devices
                    .get(id)
                    .filter(|device| device.state != State::Failed)
                    .map(|device| device.recipient.clone()),
            };
            if let Some(recipient) = recipient {
                return Some(Delivery { job: id, recipient, payload });
            }
            job = self.queue.finish(id)?.1?;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use types::error::INTERNAL;

    use super::*;
    use crate::Registration;

    fn payload(text: &str) -> Payload {
        Payload::parse(&json!({"data": {"text": text}})).unwrap()
    }

    fn device(id: &str, client_id: &str, token: &str) -> Device {
        let details = json!({
            "id": id, "clientId": client_id, "platform": "android", "formFactor": "phone",
            "push": {"recipient": {"transportType": "fcm", "registrationToken": token}},
        });
        let registration = Registration::parse(details.as_object().unwrap(), None).unwrap();
        registration.into_device(None, "1".into()).unwrap()
    }

    fn target(id: &str) -> Target {
        Target::Device(id.into())
    }

    fn push() -> Push {
        let mut push = Push::default();
        for (id, client_id) in [("d1", "bob"), ("d2", "bob"), ("d3", "eve")] {
            push.devices.insert(device(id, client_id, id)).unwrap();
        }
        push
    }

    fn start(push: &mut Push, job: u64, target: &Target, text: &str) -> Option<Delivery> {
        push.start(JobId(job), target, payload(text)).unwrap()
    }

    fn text(delivery: &Delivery) -> Option<&str> {
        delivery.payload.fields()["data"]["text"].as_str()
    }

    fn failure(lasting: Lasting) -> Failure {
        Failure { error: INTERNAL.info(), lasting }
    }

    #[test]
    fn jobs_of_one_device_run_one_at_a_time_and_in_order() {
        let mut push = push();
        let first = start(&mut push, 1, &target("d1"), "first").unwrap();
        assert_eq!(start(&mut push, 2, &target("d1"), "second"), None);
        assert_eq!(start(&mut push, 3, &target("d1"), "third"), None);
        assert!(start(&mut push, 4, &target("d2"), "other").is_some());
        let second = push.settle(&first, Ok(())).unwrap().next.unwrap();
        assert_eq!(text(&second), Some("second"));
        assert_eq!(push.settle(&first, Ok(())), None);
        let third = push.settle(&second, Err(failure(Lasting::No))).unwrap().next.unwrap();
        assert_eq!(text(&third), Some("third"));
        assert_eq!(push.settle(&third, Ok(())).unwrap().next, None);
    }

    #[test]
    fn jobs_for_one_address_run_in_order_too() {
        let mut push = push();
        let target = json!({"transportType": "apns", "deviceToken": "t"});
        let target = Target::parse(&target).unwrap();
        let first = start(&mut push, 1, &target, "first").unwrap();
        assert_eq!(start(&mut push, 2, &target, "second"), None);
        let settled = push.settle(&first, Err(failure(Lasting::Yes))).unwrap();
        assert_eq!((settled.device, settled.next.is_some()), (None, true));
    }

    #[test]
    fn a_delivery_says_how_the_device_is() {
        let mut push = push();
        let mut deliver = |job, outcome: Result<(), Failure>| {
            let delivery = start(&mut push, job, &target("d1"), "x")?;
            push.settle(&delivery, outcome).unwrap();
            let device = push.devices.get(&"d1".into()).unwrap();
            Some((device.state, device.error.is_some()))
        };
        assert_eq!(deliver(1, Err(failure(Lasting::No))), Some((State::Failing, true)));
        assert_eq!(deliver(2, Ok(())), Some((State::Active, false)));
        assert_eq!(deliver(3, Err(failure(Lasting::Yes))), Some((State::Failed, true)));
        assert_eq!(deliver(4, Ok(())), None);
        let waiting = &push.queue;
        assert_eq!(format!("{waiting:?}"), format!("{:?}", Queue::default()));
    }

    #[test]
    fn a_delivery_to_a_former_address_says_nothing_about_the_device() {
        let mut push = push();
        let delivery = start(&mut push, 1, &target("d1"), "x").unwrap();
        assert_eq!(start(&mut push, 2, &target("d1"), "y"), None);
        push.devices.insert(device("d1", "bob", "moved")).unwrap();
        let settled = push.settle(&delivery, Err(failure(Lasting::Yes))).unwrap();
        assert_eq!(settled.device, None);
        let to = settled.next.unwrap().recipient;
        assert_eq!(to.text("registrationToken"), Some("moved"));
        assert_eq!(push.devices.get(&"d1".into()).unwrap().state, State::Active);
    }

    #[test]
    fn a_channel_is_pushed_to_each_device_once() {
        let mut push = push();
        let name = ChannelName::parse("news").unwrap();
        for subscription in [
            json!({"channel": "news", "deviceId": "d1"}),
            json!({"channel": "news", "clientId": "bob"}),
            json!({"channel": "news", "clientId": "nobody"}),
            json!({"channel": "other", "deviceId": "d3"}),
        ] {
            let subscription = Subscription::parse(subscription.as_object().unwrap()).unwrap();
            push.subscriptions.insert(subscription).unwrap();
        }
        assert_eq!(push.subscribed(&name), [target("d1"), target("d2")]);
    }

    #[test]
    fn devices_that_are_removed_take_their_subscriptions_and_jobs_with_them() {
        let mut push = push();
        let subscription = json!({"channel": "news", "deviceId": "d1"});
        let subscription = Subscription::parse(subscription.as_object().unwrap()).unwrap();
        push.subscriptions.insert(subscription).unwrap();
        let delivery = start(&mut push, 1, &target("d1"), "x").unwrap();
        assert_eq!(start(&mut push, 2, &target("d1"), "y"), None);
        let bobs = DeviceFilter { client_id: Some("bob".into()), ..DeviceFilter::default() };
        let (devices, subscriptions) = push.remove_devices(&bobs);
        assert_eq!((devices.len(), subscriptions.len()), (2, 1));
        assert_eq!(push.devices.list(&bobs, 9, None).items, []);
        assert_eq!(push.subscriptions.channels(9, None).items, Vec::<String>::new());
        assert_eq!(push.settle(&delivery, Ok(())), Some(Settled { device: None, next: None }));
    }

    #[test]
    fn a_client_is_all_its_devices_and_an_unknown_device_is_refused() {
        let push = push();
        let resolve = |value: Value| push.resolve(Target::parse(&value).unwrap());
        assert_eq!(resolve(json!({"clientId": "bob"})), Ok(vec![target("d1"), target("d2")]));
        assert_eq!(resolve(json!({"clientId": "nobody"})), Ok(vec![]));
        assert_eq!(resolve(json!({"deviceId": "d9"})).unwrap_err().code, 40400);
    }

    #[test]
    fn devices_are_listed_by_page_and_filter() {
        let push = push();
        let ids = |filter: &DeviceFilter, limit, after: Option<&str>| {
            let page = push.devices.list(filter, limit, after);
            let ids: Vec<String> = page.items.iter().map(|device| device.id.to_string()).collect();
            (ids.join(" "), page.next)
        };
        let all = DeviceFilter::default();
        assert_eq!(ids(&all, 2, None), ("d1 d2".into(), Some("d2".into())));
        assert_eq!(ids(&all, 2, Some("d2")), ("d3".into(), None));
        let bobs = DeviceFilter { client_id: Some("bob".into()), ..DeviceFilter::default() };
        assert_eq!(ids(&bobs, 1, Some("d1")), ("d2".into(), None));
        let one = DeviceFilter { device_id: Some("d3".into()), ..DeviceFilter::default() };
        assert_eq!(ids(&one, 9, None), ("d3".into(), None));
        assert_eq!(ids(&one, 9, Some("d3")), (String::new(), None));
        let failed = DeviceFilter { state: Some(State::Failed), ..DeviceFilter::default() };
        assert_eq!(ids(&failed, 9, None), (String::new(), None));
    }
}
