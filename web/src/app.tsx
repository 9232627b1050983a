import { keeper } from "./api/token";
import { DashboardPage } from "./pages/dashboard";
import { ListPage } from "./pages/list";
import { NotFoundPage } from "./pages/not-found";
import { route } from "./router";
import { TokenDialog } from "./ui/token-dialog";

export function App() {
  const asking = keeper.asking.value;
  return (
    <>
      <Page />
      {asking === null ? null : <TokenDialog problem={asking.problem} />}
    </>
  );
}

function Page() {
  const at = route.value;
  switch (at.page) {
    case "list":
      return <ListPage />;
    case "dashboard":
      // A key, so that another dashboard starts with a session of its own.
      return <DashboardPage key={at.id} id={at.id} edit={at.edit} />;
    case "unknown":
      return <NotFoundPage title="This page does not exist" />;
  }
}
