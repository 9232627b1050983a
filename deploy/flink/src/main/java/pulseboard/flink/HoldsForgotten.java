package pulseboard.flink;

import static net.bytebuddy.matcher.ElementMatchers.named;

import java.io.IOException;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import net.bytebuddy.ByteBuddy;
import net.bytebuddy.description.type.TypeDescription;
import net.bytebuddy.dynamic.ClassFileLocator;
import net.bytebuddy.implementation.StubMethod;
import net.bytebuddy.pool.TypePool;

/**
 * Changes the jar of Beam's runner, once, when it has been fetched: it ends a leak of 2.62.0. Each
 * grouped window leaves two entries in FlinkStateInternals.watermarkHoldsMap, 522 bytes a slice and
 * subtask, and nothing takes them out before the job ends. The map has one use, to clear holds when
 * a job has come to its end, which ours does not: so nothing is put in.
 *
 * <p>A second time changes nothing. A runner that has not what is replaced here is refused, rather
 * than leak in silence.
 */
public final class HoldsForgotten {
  private static final String CLASS =
      "org.apache.beam.runners.flink.translation.wrappers.streaming.state.FlinkStateInternals$FlinkStateBinder";

  private static final String PUT = "collectWatermarkHolds";

  private HoldsForgotten() {}

  /** Takes the path of the jar. */
  public static void main(String[] args) throws IOException {
    try (FileSystem jar = FileSystems.newFileSystem(Path.of(args[0]), (ClassLoader) null)) {
      Path file = jar.getPath(CLASS.replace('.', '/') + ".class");
      if (!Files.exists(file)) {
        refuse(args[0]);
      }
      byte[] before = Files.readAllBytes(file);
      ClassFileLocator classes =
          new ClassFileLocator.Compound(
              ClassFileLocator.Simple.of(CLASS, before),
              ClassFileLocator.ForClassLoader.of(HoldsForgotten.class.getClassLoader()));
      TypeDescription type = TypePool.Default.of(classes).describe(CLASS).resolve();
      if (type.getDeclaredMethods().filter(named(PUT)).size() != 1) {
        refuse(args[0]);
      }
      byte[] after =
          new ByteBuddy().redefine(type, classes).method(named(PUT)).intercept(StubMethod.INSTANCE).make().getBytes();
      if (!Arrays.equals(before, after)) {
        Files.write(file, after);
      }
    }
  }

  private static void refuse(String jar) {
    System.err.println(jar + " has no " + CLASS + "." + PUT + ": it is not Beam's runner 2.62.0, which HoldsForgotten is for");
    System.exit(1);
  }
}
