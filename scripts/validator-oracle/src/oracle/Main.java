package oracle;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.parser.DataFormatException;
import ca.uhn.fhir.parser.IParser;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.Questionnaire;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;

/**
 * Judges resources with the HL7 validator, set up as DSF sets it up.
 *
 * <p>Reads a file of JSON lines: {@code {"definitions": [...]}} starts a new world of conformance
 * resources, {@code {"id": ..., "resource": {...}}} is a resource to judge in it. Writes one line
 * for each of the latter: {@code {"id", "accepted", "errors": [...]}}.
 */
public final class Main {

  private static final ObjectMapper JSON = new ObjectMapper();

  private final FhirContext context = FhirContext.forR4();
  private final DefaultProfileValidationSupport core = new DefaultProfileValidationSupport(context);
  private final IParser parser = context.newJsonParser();
  private FhirValidator validator;

  public static void main(String[] arguments) throws Exception {
    Locale.setDefault(Locale.ROOT);
    Main main = new Main();
    try (BufferedReader in = Files.newBufferedReader(Path.of(arguments[0]));
        PrintWriter out = new PrintWriter(arguments[1], StandardCharsets.UTF_8)) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        JsonNode asked = JSON.readTree(line);
        if (asked.has("definitions")) {
          main.enter(asked.get("definitions"));
        } else {
          out.println(main.judge(asked));
        }
      }
    }
  }

  private void enter(JsonNode definitions) {
    PrePopulatedValidationSupport own = new PrePopulatedValidationSupport(context);
    Forms forms = new Forms(context);
    for (JsonNode definition : definitions) {
      IBaseResource resource = parser.parseResource(definition.toString());
      if (resource instanceof Questionnaire form) {
        forms.add(form);
      } else {
        own.addResource(resource);
      }
    }
    ValidationSupportChain chain =
        new ValidationSupportChain(
            new InMemoryTerminologyServerValidationSupport(context),
            own,
            forms,
            core,
            new CommonCodeSystemsTerminologyService(context),
            new SnapshotGeneratingValidationSupport(context));
    FhirInstanceValidator module = new FhirInstanceValidator(chain);
    module.setAnyExtensionsAllowed(true);
    module.setErrorForUnknownProfiles(true);
    module.setBestPracticeWarningLevel(BestPracticeWarningLevel.Ignore);
    module.setNoTerminologyChecks(false);
    module.setAssumeValidRestReferences(false);
    module.setValidatorResourceFetcher(new Fetcher());
    validator = context.newValidator();
    validator.registerValidatorModule(module);
  }

  private ObjectNode judge(JsonNode asked) {
    ObjectNode answer = JSON.createObjectNode();
    answer.set("id", asked.get("id"));
    ArrayNode errors = JSON.createArrayNode();
    try {
      IBaseResource resource = parser.parseResource(asked.get("resource").toString());
      for (SingleValidationMessage message : validator.validateWithResult(resource).getMessages()) {
        boolean isError =
            message.getSeverity() == ResultSeverityEnum.ERROR
                || message.getSeverity() == ResultSeverityEnum.FATAL;
        if (isError && !isForgiven(message)) {
          errors.add(
              message.getLocationString() + ": " + message.getMessage()
                  + " [" + message.getMessageId() + "]");
        }
      }
    } catch (DataFormatException unreadable) {
      errors.add("unreadable: " + unreadable.getMessage());
    } catch (RuntimeException failure) {
      errors.add("failed: " + failure);
    }
    answer.put("accepted", errors.isEmpty());
    answer.set("errors", errors);
    return answer;
  }

  /** What DSF lowers to a warning. */
  private static boolean isForgiven(SingleValidationMessage message) {
    String text = message.getMessage();
    return text.contains(":@default")
        && (text.contains("Questionnaire.item") || text.contains("QuestionnaireResponse.item"))
        || text.startsWith("If text exists, it must match the questionnaire definition for linkId");
  }
}
