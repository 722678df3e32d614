//! Models as tables.

use alexnet_layers::{Model, summary};

/// The notebook's output for its network, completed in the same format where it is cut. (Its export lost the line of `=`
/// under the header, which every Keras prints.)
const KERAS: &str = r#"Model: "sequential"
_________________________________________________________________
 Layer (type)                Output Shape              Param #   
=================================================================
 conv2d (Conv2D)             (None, 56, 56, 96)        34944     
                                                                 
 max_pooling2d (MaxPooling2D  (None, 27, 27, 96)       0         
 )                                                               
                                                                 
 conv2d_1 (Conv2D)           (None, 27, 27, 256)       614656    
                                                                 
 max_pooling2d_1 (MaxPooling  (None, 13, 13, 256)      0         
 2D)                                                             
                                                                 
 conv2d_2 (Conv2D)           (None, 13, 13, 384)       885120    
                                                                 
 conv2d_3 (Conv2D)           (None, 13, 13, 384)       1327488   
                                                                 
 conv2d_4 (Conv2D)           (None, 13, 13, 256)       884992    
                                                                 
 max_pooling2d_2 (MaxPooling  (None, 6, 6, 256)        0         
 2D)                                                             
                                                                 
 flatten (Flatten)           (None, 9216)              0         
                                                                 
 dropout (Dropout)           (None, 9216)              0         
                                                                 
 dense (Dense)               (None, 4096)              37752832  
                                                                 
 dropout_1 (Dropout)         (None, 4096)              0         
                                                                 
 dense_1 (Dense)             (None, 4096)              16781312  
                                                                 
 dense_2 (Dense)             (None, 1000)              4097000   
                                                                 
=================================================================
Total params: 62,378,344
Trainable params: 62,378,344
Non-trainable params: 0
_________________________________________________________________
"#;

#[test]
fn keras_style_is_what_keras_prints() {
    let text = summary::keras(&Model::preset("keras").unwrap()).unwrap();
    for (ours, theirs) in text.lines().zip(KERAS.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(text, KERAS);
}

#[test]
fn keras_style_knows_every_kind_of_layer() {
    let text = r#"
        classes = 3
        input.crop = 16
        layer = [
            { name = "a", kind = "conv", filters = 4, kernel = 3, bias = false },
            { name = "b", kind = "batch-norm" },
            { name = "c", kind = "relu" },
            { name = "d", kind = "lrn" },
            { name = "e", kind = "average-pool", kernel = 2 },
            { name = "e2", kind = "adaptive-average-pool", output = 7 },
            { name = "f", kind = "local", filters = 2, kernel = 3 },
            { name = "g", kind = "tanh" },
            { name = "h", kind = "logistic" },
            { name = "i", kind = "linear", units = "classes" },
            { name = "j", kind = "softmax" },
        ]
    "#;
    let text = summary::keras(&Model::parse(text, "test").unwrap()).unwrap();
    let rows: Vec<&str> = text.lines().map(str::trim).filter(|line| line.contains("None")).collect();
    assert_eq!(
        rows,
        [
            "conv2d (Conv2D)             (None, 14, 14, 4)         108",
            "batch_normalization (BatchN  (None, 14, 14, 4)        16",
            "re_lu (ReLU)                (None, 14, 14, 4)         0",
            "lambda (Lambda)             (None, 14, 14, 4)         0",
            "average_pooling2d (AverageP  (None, 7, 7, 4)          0",
            "lambda_1 (Lambda)           (None, 7, 7, 4)           0",
            "locally_connected2d (Locall  (None, 5, 5, 2)          1850",
            "activation (Activation)     (None, 5, 5, 2)           0",
            "flatten (Flatten)           (None, 50)                0",
            "dense (Dense)               (None, 3)                 153",
        ]
    );
    assert!(text.contains("\n ormalization)"), "{text}");
    assert!(text.contains("Total params: 2,127\nTrainable params: 2,119\nNon-trainable params: 8\n"), "{text}");
}

#[test]
fn the_table_has_rows_and_totals() {
    let text = summary::table(&Model::preset("paper").unwrap(), 128).unwrap();
    let words = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start} in {text}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words("conv1 "), "conv1 conv 11 x 11 / 4, pad 0+3 55 x 55 x 96 34,944 105.4 M 141.8 MiB");
    assert_eq!(words("fc6 "), "fc6 linear 4096 37,752,832 37.7 M 2.0 MiB");
    assert_eq!(words("pool5 "), "pool5 max-pool 3 x 3 / 2 6 x 6 x 256 4.5 MiB");
    assert_eq!(words("parameters"), "parameters 60,965,224");
    assert_eq!(words("multiply-accumulates"), "multiply-accumulates an image 724.4 M");
    assert_eq!(words("memory of the parameters"), "memory of the parameters (f32) 232.6 MiB");
}

#[test]
fn a_batch_of_none_or_too_many_is_refused() {
    let model = Model::preset("linear").unwrap();
    for batch in [0, usize::MAX] {
        let error = summary::table(&model, batch).unwrap_err().to_string();
        assert!(error.contains("batch") && error.contains("linear"), "{error}");
    }
}
