import { deleteDashboard, messageOf, undelete } from "../api/client";
import type { DashboardSummary } from "../api/types";
import { toast } from "../ui/toast";

/** Deletes a dashboard of this version, and offers for a while to bring it back; restored is called when it is there again. */
export async function deleteWithUndo({ dashboard_id: id, title, version }: DashboardSummary, restored: () => void): Promise<void> {
  await deleteDashboard(id, version);
  const run = (): void => void undelete(id, version).then(restored, (error: unknown) => toast({ text: messageOf(error) }));
  toast({ text: `“${title}” is deleted for everyone.`, action: { name: "Undo", run } });
}
