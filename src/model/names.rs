//! Names users put on objects: annotations, labels, finalizers, and the values
//! they take. They are Argo CD's, so that manifests carry over unchanged.

/// Custom resource group.
pub const GROUP: &str = "argoproj.io";
/// Custom resource version.
pub const VERSION: &str = "v1alpha1";
/// `group/version` of the custom resources.
pub const API_VERSION: &str = "argoproj.io/v1alpha1";

/// Asks for a refresh: `normal` or `hard`. Removed once served.
pub const ANNOTATION_REFRESH: &str = "argocd.argoproj.io/refresh";
/// A truthy value makes the controller leave the application alone.
pub const ANNOTATION_SKIP_RECONCILE: &str = "argocd.argoproj.io/skip-reconcile";
/// Paths whose changes concern the application, `;`-separated.
pub const ANNOTATION_MANIFEST_GENERATE_PATHS: &str = "argocd.argoproj.io/manifest-generate-paths";
/// Per-resource comparison options, comma-separated.
pub const ANNOTATION_COMPARE_OPTIONS: &str = "argocd.argoproj.io/compare-options";
/// Per-resource sync options, comma-separated.
pub const ANNOTATION_SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Wave within a phase, a signed integer.
pub const ANNOTATION_SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Phases in which the object runs as a hook, comma-separated.
pub const ANNOTATION_HOOK: &str = "argocd.argoproj.io/hook";
/// When a hook is deleted, comma-separated.
pub const ANNOTATION_HOOK_DELETE_POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
/// Holds a running hook until the sync has seen its end.
pub const FINALIZER_HOOK: &str = "argocd.argoproj.io/hook-finalizer";
/// RFC 3339 time at which a person confirmed deletions that ask for it.
pub const ANNOTATION_DELETION_APPROVED: &str = "argocd.argoproj.io/deletion-approved";
/// Owner and identity of a managed object.
pub const ANNOTATION_TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";
/// Which installation tracks the object, where several share a cluster.
pub const ANNOTATION_INSTALLATION_ID: &str = "argocd.argoproj.io/installation-id";
/// `true` keeps the object out of the application's health.
pub const ANNOTATION_IGNORE_HEALTHCHECK: &str = "argocd.argoproj.io/ignore-healthcheck";
/// `true` applies the update-suppression rules to an untracked object too.
pub const ANNOTATION_IGNORE_RESOURCE_UPDATES: &str = "argocd.argoproj.io/ignore-resource-updates";
/// Field manager whose fields a server-side apply takes over.
pub const ANNOTATION_SSA_MIGRATION_MANAGER: &str = "argocd.argoproj.io/client-side-apply-migration-manager";
/// Prefix of user links.
pub const ANNOTATION_LINK_PREFIX: &str = "link.argocd.argoproj.io/";
/// On an application that is being deleted through the API: who did it. The API has
/// told so already.
pub const ANNOTATION_DELETED_BY: &str = "argosy.dev/deleted-by";
/// On a cluster's Secret: which fence its owner works behind, where the
/// installation's setting is not meant.
pub const ANNOTATION_FENCE: &str = "argosy.dev/fence";
/// Field manager of applications that were made through the API.
pub const MANAGER_API: &str = "argocd-server";
/// Who created a credential: only ours are deleted, others lose their label.
pub const ANNOTATION_MANAGED_BY: &str = "managed-by";
/// Value of [`ANNOTATION_MANAGED_BY`] on objects of ours.
pub const MANAGED_BY_VALUE: &str = "argocd.argoproj.io";
/// kubectl's record of what was last applied from the client's side.
pub const ANNOTATION_LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Helm's hook annotation, read on plain manifests too.
pub const HELM_HOOK: &str = "helm.sh/hook";
/// Helm's hook weight, a wave where no wave is set.
pub const HELM_HOOK_WEIGHT: &str = "helm.sh/hook-weight";
/// Helm's hook delete policy.
pub const HELM_HOOK_DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
/// `keep` holds the object back from pruning and deletion.
pub const HELM_RESOURCE_POLICY: &str = "helm.sh/resource-policy";

/// Kind of a credential Secret.
pub const LABEL_SECRET_TYPE: &str = "argocd.argoproj.io/secret-type";
/// Marks the settings objects.
pub const LABEL_PART_OF: &str = "app.kubernetes.io/part-of";
/// Value of [`LABEL_PART_OF`] on settings objects.
pub const PART_OF_VALUE: &str = "argocd";
/// Default label that names the owning application.
pub const LABEL_INSTANCE: &str = "app.kubernetes.io/instance";
/// Kubernetes version of a cluster, on its Secret, when asked for.
pub const LABEL_KUBERNETES_VERSION: &str = "argocd.argoproj.io/kubernetes-version";

/// Deletes an application's resources before the application goes.
pub const FINALIZER_RESOURCES: &str = "resources-finalizer.argocd.argoproj.io";
/// As [`FINALIZER_RESOURCES`], dependents first.
pub const FINALIZER_RESOURCES_FOREGROUND: &str = "resources-finalizer.argocd.argoproj.io/foreground";
/// As [`FINALIZER_RESOURCES`], dependents later.
pub const FINALIZER_RESOURCES_BACKGROUND: &str = "resources-finalizer.argocd.argoproj.io/background";
/// Runs PreDelete hooks.
pub const FINALIZER_PRE_DELETE: &str = "pre-delete-finalizer.argocd.argoproj.io";
/// Cleans PreDelete hooks up.
pub const FINALIZER_PRE_DELETE_CLEANUP: &str = "pre-delete-finalizer.argocd.argoproj.io/cleanup";
/// Runs PostDelete hooks.
pub const FINALIZER_POST_DELETE: &str = "post-delete-finalizer.argocd.argoproj.io";
/// Cleans PostDelete hooks up.
pub const FINALIZER_POST_DELETE_CLEANUP: &str = "post-delete-finalizer.argocd.argoproj.io/cleanup";

/// Field manager of everything Argosy writes to a target cluster.
pub const FIELD_MANAGER: &str = "argocd-controller";
/// Address that means the cluster Argosy runs in.
pub const IN_CLUSTER_SERVER: &str = "https://kubernetes.default.svc";
/// Name that means the cluster Argosy runs in.
pub const IN_CLUSTER_NAME: &str = "in-cluster";
/// The project of applications that name none.
pub const DEFAULT_PROJECT: &str = "default";
