//! The registered devices of an app, by id and by client.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use types::error::FORBIDDEN;
use types::{ClientId, DeviceId, ErrorInfo};

use crate::{Device, Page, State};

/// Devices of one app; one more is refused (40300).
const MAX_DEVICES: usize = 100_000;

/// Which devices are meant: those to which all that is said applies.
#[derive(Clone, Debug, Default)]
pub struct DeviceFilter {
    pub device_id: Option<DeviceId>,
    pub client_id: Option<ClientId>,
    pub state: Option<State>,
}

impl DeviceFilter {
    fn selects(&self, device: &Device) -> bool {
        self.device_id.as_ref().is_none_or(|id| *id == device.id)
            && self.client_id.as_ref().is_none_or(|id| Some(id) == device.client_id.as_ref())
            && self.state.is_none_or(|state| state == device.state)
    }
}

#[derive(Debug, Default)]
pub struct Devices {
    by_id: BTreeMap<DeviceId, Device>,
    by_client: BTreeSet<(ClientId, DeviceId)>,
}

impl Devices {
    pub fn get(&self, id: &DeviceId) -> Option<&Device> {
        self.by_id.get(id)
    }

    /// Registers the device, or replaces what is registered under its id.
    pub fn insert(&mut self, device: Device) -> Result<(), ErrorInfo> {
        if self.by_id.len() >= MAX_DEVICES && !self.by_id.contains_key(&device.id) {
            return Err(FORBIDDEN.with(format!("an app has at most {MAX_DEVICES} devices")));
        }
        self.remove(&device.id);
        if let Some(client_id) = &device.client_id {
            self.by_client.insert((client_id.clone(), device.id.clone()));
        }
        self.by_id.insert(device.id.clone(), device);
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: &DeviceId) {
        let client = self.by_id.remove(id).and_then(|device| device.client_id);
        if let Some(client_id) = client {
            self.by_client.remove(&(client_id, id.clone()));
        }
    }

    /// The device, if that is another state than it was in.
    pub(crate) fn set_state(
        &mut self,
        id: &DeviceId,
        state: State,
        error: Option<ErrorInfo>,
    ) -> Option<&Device> {
        let device = self.by_id.get_mut(id)?;
        let changed = (device.state, &device.error) != (state, &error);
        (device.state, device.error) = (state, error);
        changed.then_some(device)
    }

    pub fn of_client<'a>(&'a self, client: &'a ClientId) -> impl Iterator<Item = &'a DeviceId> {
        let start = Bound::Included((client.clone(), DeviceId::from("")));
        let of_client = self.by_client.range((start, Bound::Unbounded));
        of_client.take_while(move |(of, _)| of == client).map(|(_, id)| id)
    }

    pub fn selected<'a>(&'a self, filter: &'a DeviceFilter) -> impl Iterator<Item = &'a Device> {
        self.behind(None, filter)
    }

    /// The devices that `filter` selects, by id, behind the one named `after`.
    pub fn list(&self, filter: &DeviceFilter, limit: usize, after: Option<&str>) -> Page<Device> {
        let after = after.map(DeviceId::from);
        let selected = self.behind(after, filter).cloned();
        Page::of(selected, limit, |device| device.id.to_string())
    }

    fn behind<'a>(
        &'a self,
        after: Option<DeviceId>,
        filter: &'a DeviceFilter,
    ) -> Box<dyn Iterator<Item = &'a Device> + 'a> {
        let behind = move |id: &DeviceId| after.as_ref().is_none_or(|after| id > after);
        let ids: Box<dyn Iterator<Item = &DeviceId>> = match (&filter.device_id, &filter.client_id)
        {
            (Some(id), _) => Box::new(std::iter::once(id)),
            (None, Some(client)) => Box::new(self.of_client(client)),
            (None, None) => Box::new(self.by_id.keys()),
        };
        let devices = ids.filter(move |id| behind(id)).filter_map(|id| self.by_id.get(id));
        Box::new(devices.filter(|device| filter.selects(device)))
    }
}
