//! A client for each endpoint that a command speaks to.

use crate::connection::{ConnectArgs, Connection};
use crate::machine::Machine;
use crate::place::Site;
use crate::problem::Problem;
use crate::s3::Client;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Clients, made when they are first needed.
pub struct Sessions {
    args: ConnectArgs,
    machine: Machine,
    clients: Mutex<HashMap<Site, Arc<Client>>>,
}

impl Sessions {
    pub fn new(args: ConnectArgs, machine: Machine) -> Sessions {
        Sessions { args, machine, clients: Mutex::default() }
    }

    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The client for the endpoint of a URL's site.
    pub fn client(&self, site: &Site) -> Result<Arc<Client>, Problem> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(site) {
            return Ok(client.clone());
        }
        let connection = Connection::of(site, &self.args, &self.machine)?;
        let endpoint = connection.endpoint.clone();
        let client = Arc::new(Client::new(connection, self.machine).map_err(Problem::s3(endpoint))?);
        clients.insert(site.clone(), client.clone());
        Ok(client)
    }

    /// Whether the endpoint itself can copy from one client's bucket to the other's: both ask it with the same key
    /// and region.
    pub fn are_one(&self, one: &Client, other: &Client) -> bool {
        let (one, other) = (one.connection(), other.connection());
        one.endpoint == other.endpoint && one.keys == other.keys && one.region == other.region
    }
}
