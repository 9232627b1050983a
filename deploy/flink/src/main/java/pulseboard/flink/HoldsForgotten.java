package pulseboard.flink;

import static net.bytebuddy.matcher.ElementMatchers.named;

import java.lang.instrument.Instrumentation;
import net.bytebuddy.agent.builder.AgentBuilder;
import net.bytebuddy.implementation.StubMethod;

/**
 * An agent of the JVM (-javaagent) that ends a leak of Beam's runner, 2.62.0: each grouped window
 * leaves two entries in FlinkStateInternals.watermarkHoldsMap, 522 bytes a slice and subtask, and
 * nothing takes them out before the job ends. The map has one use, to clear holds when a job has
 * come to its end, which ours does not: so nothing is put in.
 *
 * <p>A runner that has not what is replaced here stops the JVM, rather than leak in silence.
 */
public final class HoldsForgotten {
  private static final String RUNNER =
      "org.apache.beam.runners.flink.translation.wrappers.streaming.state.FlinkStateInternals$FlinkStateBinder";

  private static final String PUT = "collectWatermarkHolds";

  private HoldsForgotten() {}

  public static void premain(String arguments, Instrumentation jvm) {
    new AgentBuilder.Default()
        .with(AgentBuilder.TypeStrategy.Default.REDEFINE)
        .type(named(RUNNER))
        .transform(
            (builder, type, loader, module, domain) -> {
              if (type.getDeclaredMethods().filter(named(PUT)).size() != 1) {
                System.err.println("pulseboard: " + RUNNER + " has no " + PUT + ": Beam's runner is not 2.62.0, for which the agent HoldsForgotten is");
                Runtime.getRuntime().halt(1);
              }
              return builder.method(named(PUT)).intercept(StubMethod.INSTANCE);
            })
        .installOn(jvm);
  }
}
