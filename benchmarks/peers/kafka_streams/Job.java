import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** The peers' job on Kafka Streams: BOOTSTRAP TOPIC RECORDS SCHEMA. One pair of stores per input partition; a pane's parts are added at the end. */
public final class Job {
  static final long PANE_US = 300_000_000;
  static final String LINES = "lines", PANES = "panes";

  static final List<Totalling> tasks = new ArrayList<>();
  static final CountDownLatch done = new CountDownLatch(1);
  static long records, seen;
  static Schema schema;

  public static void main(String[] args) throws Exception {
    records = Long.parseLong(args[2]);
    schema = new Schema.Parser().parse(Path.of(args[3]).toFile());
    var settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "peer-" + UUID.randomUUID());
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("kafka-streams").toString());
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
    settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10_000);
    var topology = new Topology();
    topology
        .addSource("usage", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), args[1])
        .addProcessor("totals", Totalling::new, "usage")
        .addStateStore(store(LINES), "totals")
        .addStateStore(store(PANES), "totals");
    var streams = new KafkaStreams(topology, settings);
    streams.start();
    done.await();
    streams.close();
    System.exit(0);
  }

  static StoreBuilder<KeyValueStore<String, Totals>> store(String name) {
    return Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(name), Serdes.String(), Totals.SERDE).withLoggingDisabled();
  }

  record Totals(long events, long tokens, long output_tokens, long cost_micro_usd) {
    static final Totals NONE = new Totals(0, 0, 0, 0);
    static final Serde<Totals> SERDE =
        Serdes.serdeFrom(
            (topic, t) ->
                ByteBuffer.allocate(32).putLong(t.events).putLong(t.tokens).putLong(t.output_tokens).putLong(t.cost_micro_usd).array(),
            (topic, bytes) -> {
              if (bytes == null) return null;
              var from = ByteBuffer.wrap(bytes);
              return new Totals(from.getLong(), from.getLong(), from.getLong(), from.getLong());
            });

    Totals plus(long tokens, long output_tokens, long cost_micro_usd) {
      return new Totals(
          events + 1, this.tokens + tokens, this.output_tokens + output_tokens, this.cost_micro_usd + cost_micro_usd);
    }
  }

  static final class Totalling implements Processor<byte[], byte[], Void, Void> {
    private final GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(schema);
    private final int[] field =
        Stream.of(
                "work_item_id", "team", "tool", "model", "occurred_at", "input_tokens", "cache_read_tokens",
                "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "cost_micro_usd")
            .mapToInt(name -> schema.getField(name).pos())
            .toArray();
    private BinaryDecoder bytes;
    private GenericRecord event;
    private KeyValueStore<String, Totals> lines, panes;

    @Override
    public void init(ProcessorContext<Void, Void> context) {
      lines = context.getStateStore(LINES);
      panes = context.getStateStore(PANES);
      tasks.add(this);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      try {
        bytes = DecoderFactory.get().binaryDecoder(record.value(), 5, record.value().length - 5, bytes);
        event = reader.read(event, bytes);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      long tokens = 0;
      for (int i = 5; i < 10; i++) tokens += (long) event.get(field[i]);
      var cost = event.get(field[10]);
      var item = event.get(field[0]);
      var group = event.get(field[1]) + "\t" + event.get(field[2]) + "\t" + event.get(field[3]) + "\t";
      long output = (long) event.get(field[9]), cost_micro_usd = cost == null ? 0 : (long) cost;
      if (item != null) add(lines, group + item, tokens, output, cost_micro_usd);
      add(panes, group + (long) event.get(field[4]) / PANE_US, tokens, output, cost_micro_usd);
      progress();
    }

    private static void add(KeyValueStore<String, Totals> store, String key, long tokens, long output, long cost_micro_usd) {
      var before = store.get(key);
      store.put(key, (before == null ? Totals.NONE : before).plus(tokens, output, cost_micro_usd));
    }
  }

  static void progress() {
    if (++seen == 1 || seen % (records / 100) == 0 || seen == records) System.out.printf("{\"records\": %d}%n", seen);
    if (seen == records) result();
  }

  static void result() {
    Set<String> lines = new HashSet<>(), panes = new HashSet<>();
    long[] of_lines = new long[1], of_panes = new long[2];
    for (var task : tasks) {
      try (var all = task.lines.all()) {
        all.forEachRemaining(line -> { lines.add(line.key); of_lines[0] += line.value.tokens(); });
      }
      try (var all = task.panes.all()) {
        all.forEachRemaining(pane -> { panes.add(pane.key); of_panes[0] += pane.value.tokens(); of_panes[1] += pane.value.events(); });
      }
    }
    System.out.printf(
        "{\"records\": %d, \"tokens\": %d, \"lines\": %d, \"panes\": %d, \"line_tokens\": %d, \"pane_tokens\": %d}%n",
        of_panes[1], of_panes[0], lines.size(), panes.size(), of_lines[0], of_panes[0]);
    done.countDown();
  }
}
