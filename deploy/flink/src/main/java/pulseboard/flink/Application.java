package pulseboard.flink;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.beam.model.jobmanagement.v1.JobApi.PrepareJobRequest;
import org.apache.beam.runners.flink.FlinkPipelineOptions;
import org.apache.beam.runners.flink.FlinkPipelineRunner;
import org.apache.beam.runners.fnexecution.provisioning.JobInfo;
import org.apache.beam.sdk.util.construction.PipelineOptionsTranslation;
import org.apache.flink.client.deployment.application.ApplicationClusterEntryPoint;
import org.apache.flink.client.program.PackagedProgram;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptionsInternal;
import org.apache.flink.runtime.entrypoint.ClusterEntrypoint;
import org.apache.flink.runtime.entrypoint.component.DispatcherResourceManagerComponentFactory;
import org.apache.flink.runtime.jobgraph.SavepointConfigOptions;
import org.apache.flink.runtime.resourcemanager.StandaloneResourceManagerFactory;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.DiscardingSink;
import org.apache.flink.streaming.api.functions.source.SourceFunction;

/**
 * A JobManager for one job, which Flink calls application mode: there is no job server, and nobody
 * submits. The arguments after "--" are the command that writes the job, "pipeline submit …".
 *
 * <p>It runs whenever this JobManager begins to lead, so what it looks up (queries, partitions, the
 * newest checkpoint, the lease) is of that moment. A job that JobManagers share goes on as it is:
 * then the command writes nothing.
 */
public final class Application extends ApplicationClusterEntryPoint {
  /** What Flink gives the job that it runs. */
  private static Configuration configuration;

  private Application(Configuration settings, PackagedProgram program) {
    super(settings, program, StandaloneResourceManagerFactory.getInstance());
  }

  /** Takes what a JobManager takes, then "--" and the command. */
  public static void main(String[] args) throws Exception {
    int end = Arrays.asList(args).indexOf("--");
    if (end < 0 || end == args.length - 1) {
      System.err.println("flink.sh application: after -- must stand the command that writes the job, such as /opt/pulseboard/pipeline submit --kafka …");
      System.exit(2);
    }
    Configuration settings = loadConfiguration(parseArguments(Arrays.copyOf(args, end)));
    PackagedProgram program =
        PackagedProgram.newBuilder()
            .setEntryPointClassName(Job.class.getName())
            .setArguments(Arrays.copyOfRange(args, end + 1, args.length))
            .setConfiguration(settings)
            .build();
    configureExecution(settings, program);
    ClusterEntrypoint.runClusterEntrypoint(new Application(settings, program));
  }

  @Override
  protected DispatcherResourceManagerComponentFactory createDispatcherResourceManagerComponentFactory(Configuration effective) {
    configuration = effective;
    return super.createDispatcherResourceManagerComponentFactory(effective);
  }

  /** What Flink runs when this JobManager leads. */
  public static final class Job {
    private Job() {}

    /** Takes the command. */
    public static void main(String[] command) throws Exception {
      byte[] written = write(command);
      if (written.length == 0) {
        // The job runs. Flink wants a job from here all the same, and takes it for that one, as both have the id
        // that a configuration with several JobManagers fixes: this one is never run.
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
        environment.addSource(new Idle()).addSink(new DiscardingSink<>());
        environment.execute();
        return;
      }
      PrepareJobRequest job = PrepareJobRequest.parseFrom(written);
      FlinkPipelineOptions options = PipelineOptionsTranslation.fromProto(job.getPipelineOptions()).as(FlinkPipelineOptions.class);
      options.setRunner(null);
      options.setFlinkMaster("[auto]");
      if (options.getSavepointPath() != null) {
        // The option is ignored where the job does not go to another Flink.
        configuration.set(SavepointConfigOptions.SAVEPOINT_PATH, options.getSavepointPath());
      }
      new FlinkPipelineRunner(options, null, List.of())
          .run(job.getPipeline(), JobInfo.create(job.getJobName(), job.getJobName(), "", job.getPipelineOptions()));
    }

    /**
     * Until it succeeds: were this to fail, Flink would give the job up, and delete what its
     * JobManagers share of it.
     */
    private static byte[] write(String[] command) throws IOException, InterruptedException {
      List<String> all = new ArrayList<>(Arrays.asList(command));
      all.add("--print");
      while (true) {
        Process p = new ProcessBuilder(all).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        byte[] written = p.getInputStream().readAllBytes();
        int code = p.waitFor();
        if (code != 0) {
          System.err.println("flink.sh application: the command that writes the job ended with code " + code + "; it is run again");
        } else if (written.length == 0 && !configuration.contains(PipelineOptionsInternal.PIPELINE_FIXED_JOB_ID)) {
          System.err.println("flink.sh application: a job of this name runs on another Flink, the one that --rest names");
        } else {
          return written;
        }
        Thread.sleep(2000);
      }
    }
  }

  /** Should it ever be run, it must not end: Flink would take that for the end of the job, and delete what JobManagers share of it. */
  private static final class Idle implements SourceFunction<Integer> {
    private volatile boolean on = true;

    @Override
    public void run(SourceContext<Integer> context) throws InterruptedException {
      while (on) {
        Thread.sleep(1000);
      }
    }

    @Override
    public void cancel() {
      on = false;
    }
  }
}
