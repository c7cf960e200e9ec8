//! A sequence in pieces: it grows without moving what is there, so however long it is, adding to it takes the
//! same time, and no more room is kept free than a piece has.

use std::collections::VecDeque;

/// Items of a piece.
const PIECE: usize = 128;

#[derive(Debug)]
pub(crate) struct Pieces<T> {
    /// None is empty.
    pieces: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self { pieces: VecDeque::new(), len: 0 }
    }
}

impl<T> Pieces<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.pieces.front()?.front()
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.pieces.back()?.back()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    pub(crate) fn push(&mut self, item: T) {
        self.len += 1;
        let full = match self.pieces.back_mut() {
            Some(piece) if piece.len() < PIECE => return piece.push_back(item),
            Some(_) => PIECE,
            // Most sequences are short.
            None => 1,
        };
        let mut piece = VecDeque::with_capacity(full);
        piece.push_back(item);
        self.pieces.reserve_exact(usize::from(self.pieces.is_empty()));
        self.pieces.push_back(piece);
    }

    pub(crate) fn pop_first(&mut self) -> Option<T> {
        let first = self.pieces.front_mut()?;
        let item = first.pop_front();
        if first.is_empty() {
            self.pieces.pop_front();
        }
        self.len -= 1;
        item
    }

    /// The items from the first one that does not lie before; all that do come before all that do not.
    pub(crate) fn behind(
        &self,
        lies_before: impl Fn(&T) -> bool,
    ) -> impl Iterator<Item = &T> + Clone {
        let all_lie_before = |piece: &VecDeque<T>| piece.back().is_some_and(&lies_before);
        let at = self.pieces.partition_point(all_lie_before);
        let within = self.pieces.get(at).map_or(0, |piece| piece.partition_point(lies_before));
        self.pieces.range(at..).flatten().skip(within)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_item_takes_the_room_of_one() {
        let mut pieces = Pieces::default();
        pieces.push(1);
        assert_eq!((pieces.pieces.capacity(), pieces.pieces[0].capacity()), (1, 1));
    }

    #[test]
    fn what_is_added_moves_nothing() {
        let mut pieces = Pieces::default();
        (0..1_000_u32).for_each(|item| pieces.push(item));
        let place = std::ptr::from_ref(pieces.first().unwrap());
        (0..100_000).for_each(|item| pieces.push(item));
        assert_eq!(place, std::ptr::from_ref(pieces.first().unwrap()));
        let room: usize = pieces.pieces.iter().map(VecDeque::capacity).sum();
        assert!(room <= pieces.len() + PIECE, "{room}");
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_list(steps in prop::collection::vec((0..4_u32, 0..900_u32), 0..900)) {
            let (mut pieces, mut list) = (Pieces::default(), VecDeque::new());
            for (step, item) in steps {
                if step == 0 {
                    prop_assert_eq!(pieces.pop_first(), list.pop_front());
                } else {
                    let item = item.max(*list.back().unwrap_or(&0));
                    pieces.push(item);
                    list.push_back(item);
                }
                prop_assert_eq!((pieces.len(), pieces.first(), pieces.last()), (list.len(), list.front(), list.back()));
                let behind = list.range(list.partition_point(|known| *known < item)..);
                prop_assert!(pieces.behind(|known| *known < item).eq(behind));
            }
            prop_assert!(pieces.iter().rev().eq(list.iter().rev()));
            prop_assert!(pieces.pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE));
        }
    }
}
