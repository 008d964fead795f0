//! Where a drive is: what it fails together with.
//!
//! Devices are numbered by the machine that they are in, so the same number on two nodes means two devices. A device is
//! therefore never compared by its number: two drives share one exactly when their whole [`Domain`]s are equal.

use std::fmt;

/// A process of the store with the drives of its machine. A store of one process has node 0 alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u16);

/// What fails together with a node: a rack, a room, a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ZoneId(pub u16);

/// The device that a drive lies on, the node that this device is in, and the node's zone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain {
    zone: ZoneId,
    node: NodeId,
    device: u64,
}

impl NodeId {
    /// The node that this process is.
    pub const HERE: NodeId = NodeId(0);
}

impl Domain {
    /// Of a drive of this process. `device` is the number that this machine calls the device by (`st_dev`).
    pub const fn here(device: u64) -> Domain {
        Domain::new(ZoneId(0), NodeId::HERE, device)
    }

    /// `device` is the number that the node calls the device by.
    pub const fn new(zone: ZoneId, node: NodeId, device: u64) -> Domain {
        Domain { zone, node, device }
    }

    pub fn zone(self) -> ZoneId {
        self.zone
    }

    pub fn node(self) -> NodeId {
        self.node
    }

    /// What the node calls the device by. It tells devices apart on that node only: compare domains.
    pub fn device_number(self) -> u64 {
        self.device
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device {} of node {} in zone {}", self.device, self.node.0, self.zone.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_shared_only_within_a_node() {
        let on = |node, device| Domain::new(ZoneId(0), NodeId(node), device);
        assert_eq!(Domain::here(7), on(0, 7));
        assert_ne!(on(0, 7), on(0, 8));
        assert_ne!(on(0, 7), on(1, 7), "two machines that number their devices alike");
    }
}
