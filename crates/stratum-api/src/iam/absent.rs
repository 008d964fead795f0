//! What IAM has at Amazon and nobody has here: passwords, second factors, certificates, instance profiles, identity
//! providers. Tools list them before they delete a user or a role, so each list is answered, and is empty.

use super::answer::{Members, Reply, result};
use super::call::{Call, Named};
use super::error::{Fault, IamError};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use stratum_metadata::record::IdentityKind;

/// An empty list, by the name that its element has in the answer.
struct Nothing(&'static str);

impl Serialize for Nothing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_struct("Nothing", 2)?;
        answer.serialize_field(self.0, &Members::<()>::from(Vec::new()))?;
        answer.serialize_field("IsTruncated", &false)?;
        answer.end()
    }
}

/// The empty list of an account.
pub async fn list(call: &Call, list: &'static str) -> Result<Reply, IamError> {
    call.page(Vec::new(), |()| String::new())?;
    result(&Nothing(list))
}

/// The empty list of a user. The user must exist.
pub async fn of_user(call: &Call, list: &'static str) -> Result<Reply, IamError> {
    must_be(call)?;
    self::list(call, list).await
}

/// The empty list of a role. The role must exist.
pub async fn of_role(call: &Call, list: &'static str) -> Result<Reply, IamError> {
    call.identity(IdentityKind::Role)?;
    self::list(call, list).await
}

/// A user's password for Amazon's console, which no user has here.
pub async fn login_profile(call: &Call) -> Result<Reply, IamError> {
    let name = must_be(call)?;
    Err(Fault::NoSuchEntity.because(format!("Login Profile for User {name} cannot be found.")))
}

/// The rules for passwords, of which there are none.
pub async fn password_policy(call: &Call) -> Result<Reply, IamError> {
    let account = call.account_id();
    Err(Fault::NoSuchEntity
        .because(format!("The Password Policy with domain name {account} cannot be found.")))
}

/// The name of the user that is asked about, who must exist.
fn must_be(call: &Call) -> Result<String, IamError> {
    match call.user()? {
        Named::Owner(owner) => Ok(owner.display_name.clone()),
        Named::Made(_) => Ok(call.identity(IdentityKind::User)?.name),
    }
}
