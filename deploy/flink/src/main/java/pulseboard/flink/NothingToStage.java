package pulseboard.flink;

import java.util.List;
import org.apache.beam.sdk.util.construction.resources.PipelineResourcesDetector;

/**
 * Tells Beam's job server to send no jars with a job: where they are on the class path of Flink
 * itself, as in our image, a second copy of each class would come with every job, 150 MB of them,
 * and a new class loader with every restart.
 */
public final class NothingToStage implements PipelineResourcesDetector.Factory {
  /** Beam finds it by this name. */
  public static NothingToStage create() {
    return new NothingToStage();
  }

  @Override
  public PipelineResourcesDetector getPipelineResourcesDetector() {
    return new None();
  }

  private static final class None implements PipelineResourcesDetector {
    private static final long serialVersionUID = 1;

    @Override
    public List<String> detect(ClassLoader loader) {
      return List.of();
    }
  }
}
