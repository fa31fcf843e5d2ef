//! Who holds which roles.
//!
//! Names of subjects, groups and roles are one kind of thing and numbered. A
//! subject holds itself, and what is reached from it over at most [`MAX_STEPS`]
//! links; circles do no harm.

use std::collections::HashMap;

/// How many links a role may be away.
const MAX_STEPS: usize = 10;
/// Most names in one policy.
const MAX_NAMES: usize = 100_000;

/// Number of a name.
pub(super) type RoleId = u32;

/// The names of a policy and the links between them.
#[derive(Debug, Default)]
pub(super) struct Roles {
    ids: HashMap<String, RoleId>,
    names: Vec<String>,
    links: Vec<Vec<RoleId>>,
}

/// There are too many names.
#[derive(Debug)]
pub(super) struct TooManyNames;

/// A set of roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RoleSet(Vec<u64>);

/// Two sets of roles that know of each other by name: those of the policy, which
/// keep their numbers, and those of a project, which get others.
pub(super) struct Union<'a> {
    base: &'a Roles,
    more: &'a Roles,
    /// For each role of the project its number here.
    numbers: Vec<RoleId>,
    /// For each number here the role of the project, if it is one.
    origins: Vec<Option<RoleId>>,
}

/// Where roles are looked up.
pub(super) trait Graph {
    fn find(&self, name: &str) -> Option<RoleId>;
    fn len(&self) -> usize;
    fn name(&self, role: RoleId) -> &str;
    fn for_links(&self, role: RoleId, visit: &mut dyn FnMut(RoleId));

    /// Whether a line links the name to a role.
    fn is_member(&self, name: &str) -> bool {
        let mut linked = false;
        if let Some(role) = self.find(name) {
            self.for_links(role, &mut |_| linked = true);
        }
        linked
    }

    /// Everything that is held through the role, itself first, each with the place
    /// in the result that it was reached from.
    fn reach(&self, from: RoleId) -> Vec<(RoleId, usize)> {
        let mut seen = RoleSet::default();
        seen.insert(from);
        let (mut out, mut begin) = (vec![(from, 0)], 0);
        for _ in 0..MAX_STEPS {
            let end = out.len();
            for at in begin..end {
                let role = out[at].0;
                self.for_links(role, &mut |next| {
                    if seen.insert(next) {
                        out.push((next, at));
                    }
                });
            }
            begin = end;
        }
        out
    }
}

// === impl Roles ===

impl Roles {
    pub(super) fn number(&mut self, name: &str) -> Result<RoleId, TooManyNames> {
        if let Some(id) = self.ids.get(name) {
            return Ok(*id);
        }
        let id =
            RoleId::try_from(self.names.len()).ok().filter(|_| self.names.len() < MAX_NAMES).ok_or(TooManyNames)?;
        self.ids.insert(name.to_owned(), id);
        self.names.push(name.to_owned());
        self.links.push(Vec::new());
        Ok(id)
    }

    pub(super) fn link(&mut self, member: &str, role: &str) -> Result<(), TooManyNames> {
        let (member, role) = (self.number(member)?, self.number(role)?);
        self.links[member as usize].push(role);
        Ok(())
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The roles that somebody is linked to, each once.
    pub(super) fn assigned(&self) -> impl Iterator<Item = RoleId> + use<> {
        let roles: std::collections::BTreeSet<RoleId> = self.links.iter().flatten().copied().collect();
        roles.into_iter()
    }
}

impl Graph for Roles {
    fn find(&self, name: &str) -> Option<RoleId> {
        self.ids.get(name).copied()
    }

    fn len(&self) -> usize {
        self.names.len()
    }

    fn name(&self, role: RoleId) -> &str {
        &self.names[role as usize]
    }

    fn for_links(&self, role: RoleId, visit: &mut dyn FnMut(RoleId)) {
        self.links[role as usize].iter().for_each(|next| visit(*next));
    }
}

// === impl Union ===

impl<'a> Union<'a> {
    pub(super) fn new(base: &'a Roles, more: &'a Roles) -> Self {
        let mut origins = vec![None; base.len()];
        let mut numbers = Vec::with_capacity(more.len());
        for (origin, name) in (0..).zip(more.names()) {
            let number = base.find(name).unwrap_or_else(|| {
                origins.push(None);
                // Both sides are far below the largest number.
                (origins.len() - 1) as RoleId
            });
            origins[number as usize] = Some(origin);
            numbers.push(number);
        }
        Self { base, more, numbers, origins }
    }

    pub(super) fn numbers(&self) -> &[RoleId] {
        &self.numbers
    }

    pub(super) fn into_numbers(self) -> Vec<RoleId> {
        self.numbers
    }
}

impl Graph for Union<'_> {
    fn find(&self, name: &str) -> Option<RoleId> {
        self.base.find(name).or_else(|| self.more.find(name).map(|role| self.numbers[role as usize]))
    }

    fn len(&self) -> usize {
        self.origins.len()
    }

    fn name(&self, role: RoleId) -> &str {
        match self.origins[role as usize] {
            Some(origin) => self.more.name(origin),
            None => self.base.name(role),
        }
    }

    fn for_links(&self, role: RoleId, visit: &mut dyn FnMut(RoleId)) {
        if (role as usize) < self.base.len() {
            self.base.for_links(role, visit);
        }
        if let Some(origin) = self.origins[role as usize] {
            self.more.for_links(origin, &mut |next| visit(self.numbers[next as usize]));
        }
    }
}

// === impl RoleSet ===

impl RoleSet {
    /// Whether it was not there before.
    pub(super) fn insert(&mut self, role: RoleId) -> bool {
        let (word, bit) = (role as usize / 64, 1 << (role % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    pub(super) fn contains(&self, role: RoleId) -> bool {
        self.0.get(role as usize / 64).is_some_and(|word| word & (1 << (role % 64)) != 0)
    }

    /// Whether they have a role in common.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(mine, theirs)| mine & theirs != 0)
    }

    pub(super) fn extend(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }
}

impl FromIterator<RoleId> for RoleSet {
    fn from_iter<I: IntoIterator<Item = RoleId>>(roles: I) -> Self {
        let mut set = Self::default();
        roles.into_iter().for_each(|role| {
            set.insert(role);
        });
        set
    }
}
