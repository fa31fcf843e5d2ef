//! The chart in `helm/argosy`, the rights in `config/rbac` and the monitoring that
//! comes with them: they agree with each other and with the product, a real API server
//! takes them, and the product works with the rights that they give.

mod bundled_etcd;
mod chart;
mod documents;
mod image;
mod monitoring;
mod release;
mod rendered;
mod rights;
mod values;
