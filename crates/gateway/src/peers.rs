//! The table of transports: a place for each, found by its number without searching.
//!
//! A number is a place and a generation: one that was given away anew is not mistaken for the one that
//! had it before. Transports that came one after the other lie side by side.

use node::TransportId;

use crate::hub::Peer;

#[derive(Debug, Default)]
pub(crate) struct Peers {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    peer: Option<Peer>,
}

impl Peers {
    pub(crate) fn insert(&mut self, peer: Peer) -> TransportId {
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, peer: None });
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let generation = self.place(at).map_or(0, |place| {
            place.generation = place.generation.wrapping_add(1);
            place.peer = Some(peer);
            place.generation
        });
        TransportId(u64::from(generation) << 32 | u64::from(at))
    }

    pub(crate) fn remove(&mut self, transport: TransportId) {
        let (generation, at) = parts(transport);
        if let Some(place) = self.place(at).filter(|place| place.generation == generation)
            && place.peer.take().is_some()
        {
            self.free.push(at);
        }
    }

    /// Those of the transports that are here, in their order.
    pub(crate) fn find(
        &self,
        transports: impl IntoIterator<Item = TransportId>,
        found: &mut Vec<Peer>,
    ) {
        found.extend(transports.into_iter().filter_map(|transport| {
            let (generation, at) = parts(transport);
            let place = self.places.get(usize::try_from(at).ok()?)?;
            place.peer.clone().filter(|_| place.generation == generation)
        }));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn place(&mut self, at: u32) -> Option<&mut Place> {
        self.places.get_mut(usize::try_from(at).ok()?)
    }
}

fn parts(transport: TransportId) -> (u32, u32) {
    let TransportId(number) = transport;
    ((number >> 32) as u32, number as u32)
}
