import { keeper } from "./api/token";
import { DashboardPage } from "./pages/dashboard";
import { ListPage } from "./pages/list";
import { NotFoundPage } from "./pages/not-found";
import { route } from "./ui/router";
import { lazy } from "./ui/lazy";
import { NewerPage } from "./ui/newer-page";
import { Toast } from "./ui/toast";
import { TokenDialog } from "./ui/token-dialog";

const StatusPage = lazy(async () => (await import("./pages/status")).StatusPage);
const SendPage = lazy(async () => (await import("./pages/send")).SendPage);

export function App() {
  const asking = keeper.asking.value;
  return (
    <>
      <NewerPage />
      <Page />
      <Toast />
      {asking === null ? null : <TokenDialog problem={asking} />}
    </>
  );
}

function Page() {
  const at = route.value;
  switch (at.page) {
    case "list":
      return <ListPage />;
    case "status":
      return <StatusPage />;
    case "send":
      return <SendPage />;
    case "dashboard":
      // A key, so that another dashboard starts with a session of its own.
      return <DashboardPage key={at.id} id={at.id} widget={at.widget} edit={at.edit} />;
    case "unknown":
      return <NotFoundPage title="This page does not exist" />;
  }
}
