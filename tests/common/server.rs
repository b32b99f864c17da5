//! What the tests ask of any primary, so that one test body runs on each.

use super::Sqld;
use super::sqld::text_of;

pub trait Server {
    /// As `replica_status` calls it.
    fn protocol(&self) -> &'static str;

    /// The state of a live replica that is at rest.
    fn state_when_live(&self) -> &'static str {
        if self.protocol() == "sqld" { "live" } else { "polling" }
    }

    fn url(&self) -> String;

    /// Runs statements, separated by `;`, one transaction each.
    fn execute(&self, sql: &str);

    /// The first column of a query as text, as the primary has it now.
    fn column(&self, query: &str) -> Vec<String>;

    /// Ends the server in an orderly way.
    fn stop(&mut self);

    /// Starts the stopped server again: same address, same data.
    fn resume(&mut self);

    /// Deletes all data of the stopped server.
    fn wipe(&mut self);
}

impl Server for Sqld {
    fn protocol(&self) -> &'static str {
        "sqld"
    }

    fn url(&self) -> String {
        Sqld::url(self)
    }

    fn execute(&self, sql: &str) {
        Sqld::execute(self, sql);
    }

    fn column(&self, query: &str) -> Vec<String> {
        self.query(query).iter().map(|row| text_of(&row[0])).collect()
    }

    fn stop(&mut self) {
        Sqld::stop(self);
    }

    fn resume(&mut self) {
        Sqld::resume(self);
    }

    fn wipe(&mut self) {
        Sqld::wipe(self);
    }
}
