//! The pages, one file each, and their routes.

mod archive;
mod browser;
mod buckets;
mod deleting;
mod documents;
mod download;
mod indent;
mod listing;
mod object;
mod people;
mod report;
mod sessions;
mod settings;
mod share;
mod store;
mod tiers;
mod upload;
mod versions;
mod why;

use crate::Console;
use crate::assets;
use crate::frame;
use crate::sign_in;
use crate::trouble::Trouble;
use crate::visit::{Visit, action, files, page};
use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use std::sync::Arc;

/// How much memory an answer holds until it is sent, beside its body. It goes with the answer, as an extension, to the
/// server, which counts it.
#[derive(Clone, Copy, Debug)]
pub struct Holds(pub u64);

/// A path below the console's root.
macro_rules! at {
    ($path:literal) => {
        concat!("/_stratum/console", $path)
    };
}

/// The routes of all pages.
pub fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route(at!("/"), get(async || Redirect::to(crate::HOME)))
        .route(at!(""), get(async || Redirect::to(crate::HOME)))
        .route(at!("/assets/{name}"), get(assets::serve))
        .route(at!("/sign-in"), get(sign_in::show).post(sign_in::enter))
        .route(at!("/sign-out"), action(sessions::end))
        .route(at!("/sessions"), page(sessions::show))
        .route(at!("/buckets"), page(buckets::list))
        .route(at!("/buckets/new"), page(buckets::new).merge(action(buckets::create)))
        .route(at!("/open"), page(buckets::open))
        .route(at!("/b/{bucket}"), page(browser::show))
        .route(at!("/b/{bucket}/folder"), action(browser::make_folder))
        .route(at!("/b/{bucket}/upload"), files(upload::of_form))
        .route(at!("/b/{bucket}/upload/begin"), action(upload::begin))
        .route(at!("/b/{bucket}/upload/parts"), action(upload::parts))
        .route(at!("/b/{bucket}/upload/complete"), action(upload::complete))
        .route(at!("/b/{bucket}/upload/abort"), action(upload::abort))
        .route(at!("/b/{bucket}/delete"), action(deleting::ask_first))
        .route(at!("/b/{bucket}/deleted"), action(deleting::delete))
        .route(at!("/b/{bucket}/object"), page(object::show))
        .route(at!("/b/{bucket}/object/tags"), action(object::set_tags))
        .route(at!("/b/{bucket}/object/lock"), action(object::set_lock))
        .route(at!("/b/{bucket}/object/restore"), action(versions::restore))
        .route(at!("/b/{bucket}/share"), action(share::link))
        .route(at!("/b/{bucket}/why"), page(why::show))
        .route(at!("/b/{bucket}/download"), page(download::whole))
        .route(at!("/b/{bucket}/preview"), page(download::preview))
        .route(at!("/b/{bucket}/zip"), page(archive::folder))
        .route(at!("/b/{bucket}/tiers"), page(tiers::map))
        .route(at!("/b/{bucket}/settings"), page(settings::show).merge(action(settings::set)))
        .route(at!("/b/{bucket}/settings/{item}"), page(settings::edit).merge(action(settings::save)))
        .route(at!("/b/{bucket}/settings/{item}/form"), action(settings::fill))
        .route(at!("/b/{bucket}/settings/{item}/remove"), action(settings::remove))
        .route(at!("/b/{bucket}/test-policy"), action(settings::test))
        .route(at!("/store"), page(store::show))
        .route(at!("/store/live"), action(store::live))
        .route(at!("/store/act"), action(store::act_on))
        .route(at!("/people"), page(people::show))
        .route(at!("/people/act"), action(people::act))
        .route(at!("/people/user"), page(people::user::show))
        .route(at!("/people/group"), page(people::group::show))
        .route(at!("/people/role"), page(people::role::show))
        .route(at!("/people/policy"), page(people::policy::show).merge(action(people::policy::act)))
        .fallback(async |visit: Visit| frame::trouble(&visit.frame(), &Trouble::NoPage))
}
